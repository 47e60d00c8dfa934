/** A token server for docker-registry: checks user and password, issues signed bearer tokens. */

import { createPrivateKey, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { BASIC_AUTHORIZATION } from './registry.ts';
import type { RegistryAuth, RegistryTls } from './registry.ts';

/** Stands for REGISTRY_USER, as `docker login` stores it. */
export const IDENTITY_TOKEN = 'identity-of-berth';

const SERVICE = 'berth-registry';
const ISSUER = 'berth-token-server';

const fixture = (name: string): string => readFileSync(new URL(`fixtures/${name}`, import.meta.url), 'utf8');

export interface TokenServer {
  /** What the registry has to be told. */
  readonly auth: RegistryAuth & { readonly kind: 'token' };
  /** `METHOD path?query` of each request, in order. */
  readonly requests: readonly string[];
  /** A token that allows to push to every repository given. */
  pushAuthorization(repository: string): string;
  stop(): Promise<void>;
}

interface Access {
  readonly type: string;
  readonly name: string;
  readonly actions: readonly string[];
}

/** `anonymous` also gives tokens to who shows no password, as public registries do. With `push` they are for all that is asked. */
export async function startTokenServer(options: { readonly anonymous: boolean; readonly push?: boolean; readonly tls?: RegistryTls }): Promise<TokenServer> {
  const requests: string[] = [];
  const { tls } = options;
  const serve = (request: IncomingMessage, response: ServerResponse): void => {
    requests.push(`${request.method} ${request.url}`);
    void answer(request, response, options.anonymous, options.push === true ? ['pull', 'push'] : ['pull']);
  };
  const server = tls === undefined ? createServer(serve) : createSecureServer({ cert: readFileSync(tls.certificate), key: readFileSync(tls.key) }, serve);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    auth: {
      kind: 'token',
      realm: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}/token`,
      service: SERVICE,
      issuer: ISSUER,
      certificate: fixture('token-cert.pem'),
    },
    requests,
    pushAuthorization: (repository) =>
      `Bearer ${issue([{ type: 'repository', name: repository, actions: ['pull', 'push'] }])}`,
    stop: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

async function answer(request: IncomingMessage, response: ServerResponse, anonymous: boolean, allowed: readonly string[]): Promise<void> {
  response.setHeader('connection', 'close');
  const form = new URLSearchParams(request.method === 'POST' ? await text(request) : '');
  const { authorization } = request.headers;
  const isKnown = authorization === BASIC_AUTHORIZATION || (form.get('grant_type') === 'refresh_token' && form.get('refresh_token') === IDENTITY_TOKEN);
  const showsNothing = authorization === undefined && form.size === 0;
  if (!isKnown && !(showsNothing && anonymous)) {
    response.writeHead(401, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ errors: [{ code: 'UNAUTHORIZED', message: 'wrong user or password' }] }));
    return;
  }
  const scopes = [...new URL(request.url ?? '/', 'http://token').searchParams.getAll('scope'), ...(form.get('scope') ?? '').split(' ')];
  const token = issue(scopes.flatMap((scope) => accessOf(scope, allowed)));
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ token, expires_in: 300, issued_at: new Date().toISOString() }));
}

/** `repository:library/busybox:pull,push` */
function accessOf(scope: string, allowed: readonly string[]): Access[] {
  const match = /^([^:]+):(.+):([^:]+)$/.exec(scope);
  if (match === null) return [];
  const [, type = '', name = '', actions = ''] = match;
  return [{ type, name, actions: actions.split(',').filter((action) => allowed.includes(action)) }];
}

function issue(access: readonly Access[]): string {
  const certificate = fixture('token-cert.pem').replace(/-----[^-]+-----|\s/g, '');
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: ISSUER, sub: '', aud: SERVICE, exp: now + 300, nbf: now - 10, iat: now, jti: `${now}-${access.length}`, access };
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${encode({ typ: 'JWT', alg: 'ES256', x5c: [certificate] })}.${encode(claims)}`;
  const key = createPrivateKey(fixture('token-key.pem'));
  return `${signed}.${sign('sha256', Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}
