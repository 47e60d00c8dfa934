/** Data to send through a stream, and what is needed to tell that it arrived whole. */

import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

const CHUNK = 64 << 10;

export interface Traffic {
  readonly bytes: number;
  readonly sha256: string;
}

/** Writes this many bytes, none of which repeats soon, and ends the stream if told to. */
export async function send(target: Writable, bytes: number, options: { readonly end: boolean }): Promise<Traffic> {
  const hash = createHash('sha256');
  const pattern = randomBytes(CHUNK + 251);
  let left = bytes;
  const source = new Readable({
    read() {
      if (left === 0) return void this.push(null);
      const from = left % 251;
      const chunk = pattern.subarray(from, from + Math.min(CHUNK, left));
      left -= chunk.length;
      hash.update(chunk);
      this.push(chunk);
    },
  });
  await pipeline(source, target, { end: options.end });
  return { bytes, sha256: hash.digest('hex') };
}

/** Reads to the end, or until that many bytes have come. */
export async function receive(source: Readable, limit = Number.POSITIVE_INFINITY, onBytes: (total: number) => void = () => undefined): Promise<Traffic> {
  const hash = createHash('sha256');
  let bytes = 0;
  if (limit > 0) {
    for await (const chunk of source.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      hash.update(chunk);
      bytes += chunk.length;
      onBytes(bytes);
      if (bytes >= limit) break;
    }
  }
  return { bytes, sha256: hash.digest('hex') };
}

/** Resident memory of a process that is its own: anonymous pages, in bytes. */
export function anonymousMemory(pid: number): number {
  const match = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'));
  if (match === null) throw new Error(`/proc/${pid}/status has no RssAnon`);
  return Number(match[1]) * 1024;
}

/** The most memory that a process has while something goes on, beyond what it had before, in bytes. */
export async function memoryGrowth(pid: number, work: () => Promise<void>): Promise<number> {
  const before = anonymousMemory(pid);
  let most = before;
  const timer = setInterval(() => {
    most = Math.max(most, anonymousMemory(pid));
  }, 20);
  try {
    await work();
  } finally {
    clearInterval(timer);
  }
  return Math.max(most, anonymousMemory(pid)) - before;
}
