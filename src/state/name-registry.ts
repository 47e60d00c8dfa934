import { BerthError } from '../errors/catalogue.ts';
import { untilAborted } from './keyed-lock.ts';

interface Call {
  readonly fingerprint: string;
  readonly result: Promise<string>;
  /** Somebody got the result. */
  delivered: boolean;
}

/**
 * Names in use, and the calls that are making their objects.
 *
 * The kubelet retries a call that it gave up on. Such a retry, with the same name and the same request,
 * joins the first call while that runs, and gets its result when it ended with nobody listening. It is
 * never told that the name is reserved (containerd#4604). A different request under the same name is
 * a conflict.
 */
export class NameRegistry {
  readonly #holders = new Map<string, string>();
  readonly #calls = new Map<string, Call>();

  /** The id that holds `name`. */
  holder(name: string): string | undefined {
    return this.#holders.get(name);
  }

  /** Takes a name for an object that exists already (at start). False when another one has it. */
  claim(name: string, id: string): boolean {
    if (this.#holders.has(name)) return this.#holders.get(name) === id;
    this.#holders.set(name, id);
    return true;
  }

  /** Frees the name when `id` holds it. */
  release(name: string, id: string): void {
    if (this.#holders.get(name) !== id) return;
    this.#holders.delete(name);
    this.#calls.delete(name);
  }

  /**
   * Makes an object under `name`, with the id `newId` unless it joins the call that does so already,
   * and returns the object's id. `make` runs to its end even when every caller has gone; when it fails
   * the name is free again.
   */
  async make(
    name: string,
    newId: string,
    fingerprint: string,
    signal: AbortSignal,
    make: (id: string) => Promise<void>,
  ): Promise<string> {
    const call = this.#join(name, fingerprint) ?? this.#begin(name, newId, fingerprint, make);
    const result = await untilAborted(call.result, signal);
    call.delivered = true;
    return result;
  }

  #join(name: string, fingerprint: string): Call | undefined {
    const holder = this.#holders.get(name);
    if (holder === undefined) return undefined;
    const call = this.#calls.get(name);
    if (call === undefined || call.delivered) {
      throw new BerthError('NAME_CONFLICT', `name "${name}" belongs to ${holder}`);
    }
    if (call.fingerprint !== fingerprint) {
      throw new BerthError('NAME_CONFLICT', `name "${name}" belongs to ${holder}, made from a different configuration`);
    }
    return call;
  }

  #begin(name: string, id: string, fingerprint: string, make: (id: string) => Promise<void>): Call {
    this.#holders.set(name, id);
    const result = make(id).then(
      () => id,
      (error: unknown) => {
        this.release(name, id);
        throw error;
      },
    );
    result.catch(() => undefined);
    const call: Call = { fingerprint, result, delivered: false };
    this.#calls.set(name, call);
    return call;
  }
}
