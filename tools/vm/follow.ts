/** Copies what is appended to a file while it grows: the machine's output, live. */

import { open } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

const INTERVAL_MS = 50;
const CHUNK = 65_536;

export interface Sink {
  write(chunk: Uint8Array, done: (error?: Error | null) => void): unknown;
}

function write(sink: Sink, chunk: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    sink.write(chunk, (error) => (error ? reject(error) : resolve()));
  });
}

/** Ends when `ended` is aborted and all that was written until then is copied. */
export async function follow(file: string, sink: Sink, ended: AbortSignal): Promise<void> {
  const input = await open(file);
  try {
    const buffer = Buffer.alloc(CHUNK);
    for (let position = 0; ; ) {
      // Asked before reading: what is written before the end is read after it.
      const last = ended.aborted;
      const { bytesRead } = await input.read(buffer, 0, CHUNK, position);
      if (bytesRead > 0) {
        await write(sink, buffer.subarray(0, bytesRead));
        position += bytesRead;
      } else if (last) return;
      else await sleep(INTERVAL_MS, undefined, { signal: ended }).catch(() => undefined);
    }
  } finally {
    await input.close();
  }
}
