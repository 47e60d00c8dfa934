import { statSync, watch } from 'node:fs';
import type { FSWatcher } from 'node:fs';
import { basename, dirname } from 'node:path';

import type { Logger } from 'pino';

/** Writers make several events in a row, and editors a file that is empty for a moment. */
const settleMillis = 100;
/** Only where the kernel refuses a watch, such as past fs.inotify.max_user_watches. */
const pollMillis = 5000;

/**
 * Calls back, after things have settled, when something changes in a directory. The directory may be
 * absent, made, replaced or removed at any time: each existing ancestor is watched as well, for the
 * entry that leads to the directory, and the watches are set up anew when that entry changes.
 */
export class DirectoryWatch {
  readonly #directory: string;
  readonly #onChange: () => void;
  readonly #log: Logger;
  #watchers: FSWatcher[] = [];
  #settleTimer: NodeJS.Timeout | undefined;
  #pollTimer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(directory: string, onChange: () => void, log: Logger) {
    this.#directory = directory;
    this.#onChange = onChange;
    this.#log = log;
    this.#arm();
  }

  close(): void {
    this.#closed = true;
    this.#disarm();
    clearTimeout(this.#settleTimer);
    clearInterval(this.#pollTimer);
  }

  #arm(): void {
    this.#disarm();
    this.#watch(this.#directory, undefined);
    for (let path = this.#directory; dirname(path) !== path; path = dirname(path)) {
      this.#watch(dirname(path), basename(path));
    }
  }

  #disarm(): void {
    for (const watcher of this.#watchers) watcher.close();
    this.#watchers = [];
  }

  /** With `entry`, an ancestor: only that entry matters, and it means that the way has changed. */
  #watch(path: string, entry: string | undefined): void {
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) return;
    try {
      const watcher = watch(path, { persistent: false }, (_event, name) => {
        if (entry === undefined) this.#changed();
        else if (name === entry && _event === 'rename') this.#wayChanged();
      });
      watcher.on('error', (error) => this.#poll(error));
      this.#watchers.push(watcher);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') this.#poll(error);
    }
  }

  #wayChanged(): void {
    if (this.#closed) return;
    this.#arm();
    this.#changed();
  }

  #changed(): void {
    if (this.#closed) return;
    clearTimeout(this.#settleTimer);
    this.#settleTimer = setTimeout(() => {
      this.#onChange();
    }, settleMillis).unref();
  }

  #poll(error: unknown): void {
    if (this.#closed || this.#pollTimer !== undefined) return;
    this.#log.warn({ err: error, directory: this.#directory }, 'cannot watch a directory; looking at it every 5 s instead');
    this.#pollTimer = setInterval(() => {
      this.#arm();
      this.#onChange();
    }, pollMillis).unref();
  }
}
