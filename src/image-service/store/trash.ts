/** Deletes trees in two steps: out of the way by rename, which is quick, then away. */

import { mkdir, readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { StorePaths } from './paths.ts';
import type { Unpacker } from './unpacker.ts';

export class Trash {
  readonly #paths: StorePaths;
  readonly #unpacker: Unpacker;
  readonly #log: Logger;
  readonly #removals = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  #counter = 0;

  constructor(paths: StorePaths, unpacker: Unpacker, log: Logger) {
    this.#paths = paths;
    this.#unpacker = unpacker;
    this.#log = log;
  }

  /** Moves `path` out of the way; what comes back is where it is now. */
  async take(path: string): Promise<string> {
    this.#counter += 1;
    const place = join(this.#paths.trash, `${process.pid}-${this.#counter}`);
    await rename(path, place);
    return place;
  }

  /** Empties the staging area and what an earlier run left in the trash; the deleting goes on behind. */
  async emptyLeftovers(): Promise<void> {
    await mkdir(this.#paths.trash, { recursive: true, mode: 0o700 });
    const left = (await readdir(this.#paths.trash)).map((name) => join(this.#paths.trash, name));
    // Numbers start over in each run, and process ids repeat after a reboot.
    this.#counter = left.length === 0 ? 0 : Date.now();
    await mkdir(this.#paths.staging, { recursive: true, mode: 0o700 });
    for (const name of await readdir(this.#paths.staging)) left.push(await this.take(join(this.#paths.staging, name)));
    for (const path of left) void this.remove(path);
  }

  /** Never rejects: what cannot be removed is logged and tried again at the next start. */
  remove(path: string): Promise<void> {
    const removal = this.#unpacker
      .remove(path, AbortSignal.any([this.#stop.signal, AbortSignal.timeout(removalTimeout)]))
      .catch((failure: unknown) => {
        if (!this.#stop.signal.aborted) this.#log.warn({ err: failure, path }, 'a deleted layer could not be removed from the trash');
      })
      .finally(() => {
        this.#removals.delete(removal);
      });
    this.#removals.add(removal);
    return removal;
  }

  /** Breaks off the removals; the next start goes on with them. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.settle();
  }

  /** Waits for the removals under way. */
  async settle(): Promise<void> {
    await Promise.all(this.#removals);
  }
}

/** Milliseconds. Millions of files on a slow disk take minutes; more than this is a hung disk. */
const removalTimeout = 30 * 60_000;
