/** What a pull of a reference would do, endpoint by endpoint, without pulling. */

import { BerthError } from '../../errors/catalogue.ts';
import { systemClock } from '../../telemetry/clock.ts';
import { digestOf } from '../digest.ts';
import { formatReference } from '../reference.ts';
import type { ImageReference } from '../reference.ts';
import { credentialsFor } from './authorizer.ts';
import { RegistryClient } from './client.ts';
import type { PullAuth } from './credentials.ts';
import { readAuthFile } from './docker-auth.ts';
import type { AuthFile } from './docker-auth.ts';
import type { Endpoint } from './endpoint.ts';
import { findEndpoints } from './hosts.ts';
import { proxyFor } from './proxy.ts';
import type { SessionOptions } from './session.ts';
import { TokenCache } from './token-cache.ts';
import { TrustStore, systemTrust } from './trust-store.ts';

/** No retries, and tokens that nobody else has. */
export type ExplainOptions = Omit<SessionOptions, 'retry' | 'tokens' | 'trust'>;

export interface Explanation {
  /** The full reference. */
  readonly reference: string;
  /** File or directory that names the endpoints; undefined: none does, so it is the registry itself over https. */
  readonly source: string | undefined;
  /** In the order in which they are asked. */
  readonly endpoints: readonly ExplainedEndpoint[];
}

export interface ExplainedEndpoint {
  readonly endpoint: Endpoint;
  readonly credentials: CredentialsSource;
  /** `host[:port]` of the proxy that it is asked through. */
  readonly proxy: string | undefined;
  /** Milliseconds. */
  readonly took: number;
  /** What it has under the reference, or why not. */
  readonly answer: { readonly digest: string; readonly type: string } | { readonly problem: string };
}

/** `withheld`: there are some, but this endpoint is not one that they may be sent to. */
export type CredentialsSource = 'none' | 'given' | 'file' | 'withheld';

/** Asks every endpoint once for the manifest, in turn. Rejects only for what is wrong with the configuration. */
export async function explainReference(
  reference: ImageReference,
  given: PullAuth | undefined,
  options: ExplainOptions,
  signal: AbortSignal,
): Promise<Explanation> {
  const { source, endpoints } = await findEndpoints(options, reference.domain, signal);
  const file = given === undefined && options.authFile !== '' ? await readAuthFile(options.authFile, signal) : undefined;
  const explained: ExplainedEndpoint[] = [];
  for (const endpoint of endpoints) explained.push(await explainEndpoint(endpoint, reference, { given, file }, options, signal));
  return { reference: formatReference(reference), source, endpoints: explained };
}

async function explainEndpoint(
  endpoint: Endpoint,
  reference: ImageReference,
  from: { readonly given: PullAuth | undefined; readonly file: AuthFile | undefined },
  options: ExplainOptions,
  signal: AbortSignal,
): Promise<ExplainedEndpoint> {
  const auth = from.given ?? (await from.file?.credentials(endpoint.host, signal));
  const found = auth === undefined ? 'none' : from.given === undefined ? 'file' : 'given';
  const credentials = found === 'none' || credentialsFor(endpoint, auth) !== undefined ? found : 'withheld';
  const retry = { attempts: 1, firstDelay: 0, maxDelay: 0, maxRetryAfter: 0 };
  const client = new RegistryClient(endpoint, reference, auth, { ...options, retry, hasAlternative: false, tokens: new TokenCache(systemClock()), trust: new TrustStore(systemTrust(options.environment)) });
  const known: Omit<ExplainedEndpoint, 'took' | 'answer'> = { endpoint, credentials, proxy: proxyHost(endpoint, options) };
  const start = performance.now();
  try {
    const { content, contentType } = await client.manifest(reference.digest ?? reference.tag ?? 'latest', formatReference(reference), signal);
    return { ...known, took: performance.now() - start, answer: { digest: digestOf(content), type: contentType } };
  } catch (failure) {
    signal.throwIfAborted();
    if (!(failure instanceof BerthError)) throw failure;
    return { ...known, took: performance.now() - start, answer: { problem: failure.message } };
  } finally {
    await client.close();
  }
}

/** Without its credentials. A variable that is no URL is what the answer tells. */
function proxyHost({ origin }: Endpoint, { environment }: ExplainOptions): string | undefined {
  try {
    return proxyFor(new URL(origin), environment)?.host;
  } catch (failure) {
    if (failure instanceof BerthError) return undefined;
    throw failure;
  }
}
