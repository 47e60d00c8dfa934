/**
 * A blob as one unbroken stream: a connection that breaks is taken up where it broke, at the same
 * server or at the next one. Content is not verified here, length is.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { BerthError } from '../../errors/catalogue.ts';
import type { RegistryClient } from './client.ts';
import type { Descriptor } from './descriptor.ts';
import { RegistryFailure, failureOfTransport, unavailable } from './failure.ts';
import { retryDelay } from './retry.ts';
import type { RetryPolicy } from './retry.ts';
import { allFailed } from './session.ts';

export class BlobStream {
  readonly #clients: readonly RegistryClient[];
  readonly #descriptor: Descriptor;
  readonly #what: string;
  readonly #retry: RetryPolicy;
  #position = 0;
  #offset = 0;

  /** `clients` are asked in order; there is at least one. */
  constructor(clients: readonly RegistryClient[], descriptor: Descriptor, what: string, retry: RetryPolicy) {
    this.#clients = clients;
    this.#descriptor = descriptor;
    this.#what = what;
    this.#retry = retry;
  }

  /** The endpoints that have not been used: what is left to try when the content turns out wrong. */
  get unused(): readonly RegistryClient[] {
    return this.#clients.slice(this.#position + 1);
  }

  /** The same blob from the start, from the server that this one came from last. */
  again(): BlobStream {
    return new BlobStream(this.#clients.slice(this.#position, this.#position + 1), this.#descriptor, this.#what, this.#retry);
  }

  async *chunks(signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
    const failures: BerthError[] = [];
    for (let inRow = 0; ; ) {
      const client = this.#clients[this.#position];
      if (client === undefined) throw allFailed(failures, this.#what, 'pull');
      const before = this.#offset;
      try {
        yield* this.#continue(client, signal);
        return;
      } catch (cause) {
        const failure = failureOfTransport(this.#what, client.endpoint.host, cause, signal);
        if (signal.aborted || !(failure instanceof BerthError)) throw failure;
        // A server that sent something since the last break is alive: it starts with a clean sheet.
        inRow = this.#offset > before ? 1 : inRow + 1;
        const delay = retryDelay(this.#retry, inRow, failure, this.#position + 1 < this.#clients.length);
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

  async *#continue(client: RegistryClient, signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
    const { size } = this.#descriptor;
    if (this.#offset === size && size > 0) return;
    const { start, body } = await client.openBlob(this.#descriptor, this.#offset, this.#what, signal);
    let skip = this.#offset - start;
    for await (const chunk of body as AsyncIterable<Buffer>) {
      const fresh = skip === 0 ? chunk : chunk.subarray(Math.min(skip, chunk.length));
      skip -= chunk.length - fresh.length;
      if (this.#offset + fresh.length > size) {
        throw new RegistryFailure('DIGEST_MISMATCH', `${this.#what}: ${client.endpoint.host} sent more than the ${size} bytes of the manifest`);
      }
      this.#offset += fresh.length;
      if (fresh.length > 0) yield fresh;
    }
    if (this.#offset < size) {
      throw unavailable(this.#what, client.endpoint.host, `ended after ${this.#offset} of ${size} bytes`, { transient: true });
    }
  }
}
