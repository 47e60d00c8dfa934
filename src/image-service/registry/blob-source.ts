/** Who has a blob's bytes: an endpoint of the registry, or a URL that the image names. */

import type { Readable } from 'node:stream';
import type { Descriptor } from './descriptor.ts';
import { decoded, isEncoded } from './encoding.ts';
import { RegistryFailure } from './failure.ts';
import type { HttpRequest, HttpResponse } from './transport.ts';

export interface BlobSource {
  /** `host[:port]`, for errors. */
  readonly host: string;
  /** One attempt at a blob's bytes from `offset`. */
  openBlob(descriptor: Descriptor, offset: number, what: string, signal: AbortSignal): Promise<OpenedBlob>;
}

export interface OpenedBlob {
  /** Where the answer begins: servers may ignore ranges. */
  readonly start: number;
  readonly body: Readable;
}

/** Ranges and lengths are to be those of what digests are made of. */
const asItIs = { 'accept-encoding': 'identity' } as const;

/**
 * One attempt at a blob's bytes from `offset`; `ask` sends a request with these headers and rejects for refusals. A server
 * that cannot go on there (416), or only in an encoding of its own, is asked for all of it. Throws DIGEST_MISMATCH for
 * another length than the descriptor's.
 */
export async function requestBlob(
  ask: (headers: HttpRequest['headers']) => Promise<HttpResponse>,
  descriptor: Descriptor,
  offset: number,
  what: string,
  host: string,
): Promise<OpenedBlob> {
  const rest = offset === 0 ? undefined : await askForRest(ask, descriptor, offset);
  const response = rest ?? (await ask(asItIs));
  const start = response.status === 206 ? rangeStart(response.headers['content-range']) : 0;
  const length = response.headers['content-length'];
  const offered = start === undefined || length === undefined ? undefined : start + Number(length);
  const encoding = response.headers['content-encoding'];
  // Object stores say gzip of layers that are gzip files by themselves; their length tells.
  if (start === 0 && isEncoded(encoding) && offered !== descriptor.size) return { start, body: decoded(response.body, encoding, `${what} from ${host}`) };
  if (start === undefined || start > offset || (offered !== undefined && offered !== descriptor.size)) {
    response.body.destroy();
    throw new RegistryFailure(
      'DIGEST_MISMATCH',
      `${what}: ${host} offers ${length ?? 'an unknown number of'} bytes from ${start ?? 'nowhere'}, the manifest says ${descriptor.size}`,
    );
  }
  return { start, body: response.body };
}

async function askForRest(ask: (headers: HttpRequest['headers']) => Promise<HttpResponse>, { size }: Descriptor, offset: number): Promise<HttpResponse | undefined> {
  try {
    const response = await ask({ ...asItIs, range: `bytes=${offset}-${size - 1}` });
    if (response.status !== 206 || !isEncoded(response.headers['content-encoding'])) return response;
    response.body.destroy();
  } catch (failure) {
    if (!(failure instanceof RegistryFailure) || failure.httpStatus !== 416) throw failure;
  }
  return undefined;
}

function rangeStart(header: string | undefined): number | undefined {
  const start = /^bytes ([0-9]{1,15})-/.exec(header ?? '')?.[1];
  return start === undefined ? undefined : Number(start);
}
