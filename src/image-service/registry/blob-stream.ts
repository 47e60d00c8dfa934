/**
 * A blob as one unbroken stream: a connection that breaks is taken up where it broke, at the same
 * server or at the next one. Content is not verified here, length is.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { BerthError } from '../../errors/catalogue.ts';
import type { BlobSource } from './blob-source.ts';
import type { Descriptor } from './descriptor.ts';
import { RegistryFailure, failureOfTransport, unavailable } from './failure.ts';
import { retryDelay } from './retry.ts';
import type { RetryPolicy } from './retry.ts';
import { allFailed } from './session.ts';

export class BlobStream {
  readonly #sources: readonly BlobSource[];
  readonly #descriptor: Descriptor;
  readonly #what: string;
  readonly #retry: RetryPolicy;
  #position = 0;
  #offset = 0;

  /** `sources` are asked in order; there is at least one. */
  constructor(sources: readonly BlobSource[], descriptor: Descriptor, what: string, retry: RetryPolicy) {
    this.#sources = sources;
    this.#descriptor = descriptor;
    this.#what = what;
    this.#retry = retry;
  }

  /** The sources that have not been used: what is left to try when the content turns out wrong. */
  get unused(): readonly BlobSource[] {
    return this.#sources.slice(this.#position + 1);
  }

  /** The same blob from the start, from the server that this one came from last. */
  again(): BlobStream {
    return new BlobStream(this.#sources.slice(this.#position, this.#position + 1), this.#descriptor, this.#what, this.#retry);
  }

  async *chunks(signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
    const failures: BerthError[] = [];
    for (let inRow = 0; ; ) {
      const source = this.#sources[this.#position];
      if (source === undefined) throw allFailed(failures, this.#what, 'pull');
      const before = this.#offset;
      try {
        yield* this.#continue(source, signal);
        return;
      } catch (cause) {
        const failure = failureOfTransport(this.#what, source.host, cause, signal);
        if (signal.aborted || !(failure instanceof BerthError)) throw failure;
        // A server that sent something since the last break is alive: it starts with a clean sheet.
        inRow = this.#offset > before ? 1 : inRow + 1;
        const delay = retryDelay(this.#retry, inRow, failure, this.#position + 1 < this.#sources.length);
        if (delay === undefined) {
          failures.push(failure);
          this.#position += 1;
          inRow = 0;
        } else {
          await sleep(delay, undefined, { signal });
        }
      }
    }
  }

  async *#continue(source: BlobSource, signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
    const { size } = this.#descriptor;
    if (this.#offset === size && size > 0) return;
    const { start, body } = await source.openBlob(this.#descriptor, this.#offset, this.#what, signal);
    let skip = this.#offset - start;
    for await (const chunk of body as AsyncIterable<Buffer>) {
      const fresh = skip === 0 ? chunk : chunk.subarray(Math.min(skip, chunk.length));
      skip -= chunk.length - fresh.length;
      if (this.#offset + fresh.length > size) {
        throw new RegistryFailure('DIGEST_MISMATCH', `${this.#what}: ${source.host} sent more than the ${size} bytes of the manifest`);
      }
      this.#offset += fresh.length;
      if (fresh.length > 0) yield fresh;
    }
    if (this.#offset < size) {
      throw unavailable(this.#what, source.host, `ended after ${this.#offset} of ${size} bytes`, { transient: true });
    }
  }
}
