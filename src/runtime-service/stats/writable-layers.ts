import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Clock } from '../../telemetry/clock.ts';
import type { DiskUsage } from './disk-usage.ts';

export interface MeasuredLayer extends DiskUsage {
  /** When, in nanoseconds since the epoch. */
  readonly at: bigint;
}

/** How old a figure may grow before the tree is walked again, in nanoseconds. */
const shortestPeriod = 10_000_000_000n;

/** After a walk of t ms no other begins for this many times t: at most a twentieth of one thread goes into walking. */
const restFactor = 20;

/** For a tree that has never been measured, nobody should have to wait longer, in ms. */
const longestRest = 60_000;

export interface WritableLayersOptions {
  readonly measure: (directory: string, signal: AbortSignal) => Promise<DiskUsage | undefined>;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * The sizes of writable layers. Requests read the last figure and note that they want a newer one; trees are
 * walked in the background, one at a time, only while somebody asks. (A project quota would give the figure
 * at once, but needs a file system made and mounted for it.)
 */
export class WritableLayers {
  readonly #options: WritableLayersOptions;
  readonly #figures = new Map<string, MeasuredLayer>();
  readonly #due = new Map<string, string>();
  readonly #stop = new AbortController();
  #working = false;
  #resting: AbortController | undefined;
  /** When the next tree that has a figure may be walked, by performance.now(). */
  #notBefore = 0;
  #progress = Promise.withResolvers<void>();

  constructor(options: WritableLayersOptions) {
    this.#options = options;
  }

  /** The last figure; undefined before the first. */
  figure(id: string): MeasuredLayer | undefined {
    return this.#figures.get(id);
  }

  /** Has the tree measured when its figure is missing or old. */
  want(id: string, directory: () => string): void {
    const figure = this.#figures.get(id);
    if (figure !== undefined && this.#options.clock.nowNanos() - figure.at < shortestPeriod) return;
    this.#due.set(id, directory());
    if (this.#stop.signal.aborted) return;
    // The rest is not for those that wait for their first figure.
    if (figure === undefined) this.#resting?.abort();
    if (!this.#working) void this.#work();
  }

  /** Resolves when each of `ids` has a figure or cannot have one, at the latest after `patience` ms. */
  async firstFigures(ids: readonly string[], patience: number): Promise<void> {
    const missing = (): boolean => ids.some((id) => !this.#figures.has(id) && this.#due.has(id));
    const deadline = performance.now() + patience;
    while (missing() && performance.now() < deadline) {
      const timer = new AbortController();
      const late = sleep(deadline - performance.now(), undefined, { signal: timer.signal }).catch(() => undefined);
      await Promise.race([this.#progress.promise, late]);
      timer.abort();
    }
  }

  /** Forgets every layer that is not in `ids`. */
  retain(ids: ReadonlySet<string>): void {
    for (const map of [this.#figures, this.#due]) for (const id of map.keys()) if (!ids.has(id)) map.delete(id);
  }

  /** Breaks off what is being measured. */
  close(): void {
    this.#stop.abort();
  }

  async #work(): Promise<void> {
    const { signal } = this.#stop;
    this.#working = true;
    while (this.#due.size > 0 && !signal.aborted) {
      const [id, directory] = this.#next();
      const rest = this.#figures.has(id) ? this.#notBefore - performance.now() : 0;
      if (rest > 0) {
        await this.#rest(rest);
        continue;
      }
      const started = performance.now();
      await this.#measure(id, directory, signal);
      this.#notBefore = performance.now() + Math.min(longestRest, (performance.now() - started) * restFactor);
      this.#due.delete(id);
      this.#progress.resolve();
      this.#progress = Promise.withResolvers();
    }
    this.#working = false;
  }

  async #measure(id: string, directory: string, signal: AbortSignal): Promise<void> {
    const { measure, clock, log } = this.#options;
    try {
      const usage = await measure(directory, signal);
      if (usage !== undefined && this.#due.has(id)) this.#figures.set(id, { ...usage, at: clock.nowNanos() });
    } catch (err) {
      if (!signal.aborted) log.warn({ err, container: id, directory }, 'writable layer cannot be measured');
    }
  }

  /** A layer without a figure goes first. */
  #next(): [string, string] {
    const due = [...this.#due];
    return due.find(([id]) => !this.#figures.has(id)) ?? due[0] ?? ['', ''];
  }

  async #rest(duration: number): Promise<void> {
    this.#resting = new AbortController();
    const signal = AbortSignal.any([this.#resting.signal, this.#stop.signal]);
    await sleep(duration, undefined, { signal, ref: false }).catch(() => undefined);
    this.#resting = undefined;
  }
}
