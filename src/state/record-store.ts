import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BerthError } from '../errors/catalogue.ts';

/** A record on disk: one directory `ID/` with `record.json`, replaced by rename. */
export interface StoredRecord {
  readonly version: number;
  readonly id: string;
}

export function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A record that did not load. Its directory is left as it is until somebody removes it. */
export interface BrokenRecord {
  readonly id: string;
  readonly reason: string;
}

/**
 * Sandbox or container records below one directory. Writes of one record are ordered: the last state
 * asked for is the state on disk.
 */
export class RecordStore<T extends StoredRecord> {
  /** Where the objects' directories are. */
  readonly directory: string;
  readonly #parse: (value: unknown) => T;
  readonly #writes = new Map<string, Promise<void>>();

  /** `parse` throws when the JSON is not a record. */
  constructor(directory: string, parse: (value: unknown) => T) {
    this.directory = directory;
    this.#parse = parse;
  }

  /** The directory of one object, for files beside its record. */
  directoryOf(id: string): string {
    return join(this.directory, id);
  }

  async load(): Promise<{ records: T[]; broken: BrokenRecord[] }> {
    await mkdir(this.directory, { recursive: true, mode: 0o700 });
    const records: T[] = [];
    const broken: BrokenRecord[] = [];
    for (const id of await readdir(this.directory)) {
      try {
        const value: unknown = JSON.parse(await readFile(join(this.directory, id, 'record.json'), 'utf8'));
        const record = this.#parse(value);
        if (record.id !== id) throw new Error(`it holds the id ${record.id}`);
        records.push(record);
      } catch (cause) {
        if (await this.#neverWritten(id, cause)) continue;
        broken.push({ id, reason: cause instanceof Error ? cause.message : String(cause) });
      }
    }
    return { records, broken };
  }

  /** Resolves when this state, or a later one, is on disk. */
  save(record: T): Promise<void> {
    const json = JSON.stringify(record);
    return this.#inOrder(record.id, () => this.#replace(record.id, json));
  }

  /** Removes the record and everything in its directory; succeeds when it is gone already. */
  remove(id: string): Promise<void> {
    return this.#inOrder(id, () => rm(join(this.directory, id), { recursive: true, force: true }));
  }

  #inOrder(id: string, work: () => Promise<void>): Promise<void> {
    const before = this.#writes.get(id) ?? Promise.resolve();
    const write = before.catch(() => undefined).then(work);
    this.#writes.set(id, write);
    const forget = () => {
      if (this.#writes.get(id) === write) this.#writes.delete(id);
    };
    write.then(forget, forget);
    return write;
  }

  /**
   * A directory without a record is what a crash left of the very first save, before anything was
   * acquired, or the last piece of a removal: it goes. One that holds more is somebody's.
   */
  async #neverWritten(id: string, cause: unknown): Promise<boolean> {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') return false;
    const directory = join(this.directory, id);
    if ((await readdir(directory)).some((name) => name !== 'record.json.new')) return false;
    await rm(directory, { recursive: true, force: true });
    return true;
  }

  async #replace(id: string, json: string): Promise<void> {
    const directory = join(this.directory, id);
    try {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      await writeFile(join(directory, 'record.json.new'), json, { mode: 0o600 });
      await rename(join(directory, 'record.json.new'), join(directory, 'record.json'));
    } catch (cause) {
      const full = (cause as NodeJS.ErrnoException).code === 'ENOSPC';
      throw new BerthError(full ? 'DISK_FULL' : 'STATE_FAILED', `record of ${id}: ${String(cause)}`, { cause });
    }
  }
}
