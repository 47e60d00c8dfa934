/**
 * Content-Encoding (RFC 9110 section 8.4). Nobody asks for one, but proxies and object stores apply them
 * nevertheless, and digests are those of the content without.
 */

import { pipeline } from 'node:stream';
import type { Duplex, Readable } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from 'node:zlib';
import { protocolError } from './descriptor.ts';

const decoders = new Map<string, () => Duplex>([
  ['gzip', createGunzip],
  ['x-gzip', createGunzip],
  ['deflate', createInflate],
  ['br', createBrotliDecompress],
  ['zstd', createZstdDecompress],
]);

export function isEncoded(header: string | undefined): boolean {
  return codings(header).length > 0;
}

/** The content of `body`. A failure of either stream is one of the result; `what` names it in errors. */
export function decoded(body: Readable, header: string | undefined, what: string): Readable {
  const chain = codings(header).toReversed().map((coding) => {
    const decoder = decoders.get(coding);
    if (decoder === undefined) throw protocolError(what, `it is sent in the encoding "${coding.slice(0, 40)}", which nobody asked for`);
    return decoder();
  });
  const last = chain.at(-1);
  if (last === undefined) return body;
  // Whoever reads the result sees the failure there.
  pipeline([body, ...chain], () => undefined);
  return last;
}

/** In the order in which they were applied. */
function codings(header: string | undefined): readonly string[] {
  return (header ?? '').split(',').map((name) => name.trim().toLowerCase()).filter((name) => name !== '' && name !== 'identity');
}
