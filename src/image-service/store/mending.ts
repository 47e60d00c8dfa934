/**
 * After damage was found, layers that no image names wait for the pulls that name them again, so that only what is
 * bad is fetched anew. They wait across restarts, for a day at most: somebody may need the space.
 */

import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { replaceFile } from './durable.ts';
import type { StorePaths } from './paths.ts';

/** Milliseconds. */
const longestMending = 24 * 60 * 60_000;

/** Who holds the layers meanwhile. */
export const mendingHolder = 'mending';

export class Mending {
  readonly #paths: StorePaths;
  /** Milliseconds since the epoch. */
  #since: number | undefined;

  private constructor(paths: StorePaths, since: number | undefined) {
    this.#paths = paths;
    this.#since = since;
  }

  static async open(paths: StorePaths): Promise<Mending> {
    const since = Number(await readFile(paths.mending, 'utf8').catch(() => 'none'));
    return new Mending(paths, Number.isSafeInteger(since) ? since : undefined);
  }

  get active(): boolean {
    return this.#since !== undefined;
  }

  /** True when it has gone on for long enough. A clock that was set back counts as that. */
  get over(): boolean {
    return this.#since !== undefined && Math.abs(Date.now() - this.#since) > longestMending;
  }

  /** Damage was found. On a full disk it is remembered until the next start alone. */
  async begin(): Promise<void> {
    this.#since = Date.now();
    await replaceFile(this.#paths.mending, join(this.#paths.staging, 'mending'), `${this.#since}\n`).catch(() => undefined);
  }

  async end(): Promise<void> {
    this.#since = undefined;
    await rm(this.#paths.mending, { force: true });
  }
}
