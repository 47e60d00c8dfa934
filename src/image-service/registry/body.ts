/** Reads the body of a response into memory, up to a limit. */

import type { Readable } from 'node:stream';
import { protocolError } from './descriptor.ts';

export async function readBody(body: Readable, maxBytes: number, what: string, signal: AbortSignal): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxBytes) throw protocolError(what, `it is longer than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  signal.throwIfAborted();
  return Buffer.concat(chunks, length);
}
