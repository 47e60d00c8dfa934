/** Fetches bearer tokens: the GET form with basic auth, and the OAuth2 POST form for identity tokens. */

import { readBody } from './body.ts';
import { basicHeader } from './credentials.ts';
import type { Credentials } from './credentials.ts';
import { parseJsonObject, protocolError } from './descriptor.ts';
import { errorDetail, failureOfStatus, failureOfTransport } from './failure.ts';
import { parseRetryAfter, withRetries } from './retry.ts';
import type { RetryPolicy } from './retry.ts';
import type { Token } from './token-cache.ts';
import type { HttpRequest, Transport } from './transport.ts';

export interface TokenRequest {
  readonly url: URL;
  readonly service: string;
  readonly scope: string;
  readonly credentials: Credentials | undefined;
}

export type TokenSource = (request: TokenRequest, signal: AbortSignal) => Promise<Token>;

const maxTokenBytes = 1024 * 1024;
/** Seconds, where the server does not say; longest that is believed. */
const defaultLifetime = 60;
const maxLifetime = 86_400;

export function tokenSource(transport: Transport, policy: RetryPolicy): TokenSource {
  return (request, signal) => withRetries(policy, false, signal, () => fetchToken(transport, request, signal));
}

async function fetchToken(transport: Transport, request: TokenRequest, signal: AbortSignal): Promise<Token> {
  const what = `token for ${request.scope}`;
  const { host } = request.url;
  let body: Buffer;
  try {
    const response = await transport.send(tokenHttpRequest(request, signal));
    body = await readBody(response.body, maxTokenBytes, what, signal);
    if (response.status !== 200) {
      const retryAfter = parseRetryAfter(response.headers['retry-after'], Date.now());
      throw failureOfStatus(what, host, response.status, errorDetail(body.toString('utf8')), retryAfter);
    }
  } catch (cause) {
    throw failureOfTransport(what, host, cause, signal);
  }
  const document = parseJsonObject(body, `${what} from ${host}`);
  const token = document['token'] ?? document['access_token'];
  if (typeof token !== 'string' || !/^[\x21-\x7e]+$/.test(token)) throw protocolError(`${what} from ${host}`, 'it holds no token');
  return { value: token, lifetime: lifetimeOf(document['expires_in']) };
}

/** Milliseconds; `expires_in` is in seconds. */
function lifetimeOf(expiresIn: unknown): number {
  const seconds = typeof expiresIn === 'number' && expiresIn > 0 ? expiresIn : defaultLifetime;
  return Math.min(seconds, maxLifetime) * 1000;
}

function tokenHttpRequest(request: TokenRequest, signal: AbortSignal): HttpRequest {
  const { credentials, service, scope } = request;
  if (credentials?.kind === 'identity') {
    const form = new URLSearchParams({
      grant_type: 'refresh_token',
      refresh_token: credentials.token,
      client_id: 'berth',
      service,
      scope,
    });
    const headers = { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' };
    return { url: request.url, method: 'POST', headers, body: form.toString(), authorization: undefined, signal };
  }
  const url = new URL(request.url);
  if (service !== '') url.searchParams.set('service', service);
  // A challenge may list several scopes, separated by spaces: each is a parameter of its own.
  for (const part of scope.split(' ').filter((entry) => entry !== '')) url.searchParams.append('scope', part);
  const basic = credentials?.kind === 'basic' ? credentials : undefined;
  if (basic !== undefined) url.searchParams.set('account', basic.username);
  return {
    url,
    headers: { accept: 'application/json' },
    authorization: basic === undefined ? undefined : basicHeader(basic.username, basic.password),
    signal,
  };
}
