import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';

import type { Logger } from 'pino';

import { invalidField } from '../errors/catalogue.ts';
import { readIfPresent, replaceFile } from './atomic-file.ts';
import { parseCidr } from './cidr.ts';

const field = 'runtime_config.network_config.pod_cidr';

/**
 * The pod address ranges that the kubelet tells through UpdateRuntimeConfig. It tells them once, so
 * they are kept on disk for the next start of berthd.
 */
export class PodCidr {
  readonly #path: string;
  readonly #log: Logger;
  #ranges: readonly string[] = [];
  #writing: Promise<unknown> = Promise.resolve();

  constructor(path: string, log: Logger) {
    this.#path = path;
    this.#log = log;
  }

  /** At most one range a family, in the order given. */
  get ranges(): readonly string[] {
    return this.#ranges;
  }

  async open(): Promise<void> {
    await mkdir(dirname(this.#path), { recursive: true, mode: 0o700 });
    const text = await readIfPresent(this.#path);
    if (text === undefined) return;
    try {
      this.#ranges = parsePodCidr(text.trim());
    } catch (error) {
      this.#log.warn({ err: error, file: this.#path }, 'the remembered pod address range cannot be used; waiting for the kubelet to tell it again');
    }
  }

  /** Empty is ignored, as the kubelet sends it before the node has a range. Tells whether it changed. */
  async set(text: string): Promise<boolean> {
    if (text.trim() === '') return false;
    const ranges = parsePodCidr(text);
    // One after another: two writers would share the temporary file.
    const written = this.#writing.then(() => this.#replace(ranges));
    this.#writing = written.catch(() => undefined);
    return await written;
  }

  async #replace(ranges: readonly string[]): Promise<boolean> {
    if (ranges.join() === this.#ranges.join()) return false;
    await replaceFile(this.#path, `${ranges.join()}\n`);
    this.#ranges = ranges;
    return true;
  }
}

export function parsePodCidr(text: string): readonly string[] {
  const ranges = text.split(',').map((part) => {
    const range = parseCidr(part.trim());
    if (range === undefined) throw invalidField(field, `${JSON.stringify(part)} is not an address range such as 10.88.0.0/16`);
    return range;
  });
  for (const family of [4, 6]) {
    if (ranges.filter((range) => range.family === family).length > 1) {
      throw invalidField(field, `${JSON.stringify(text)} has more than one IPv${family} range`);
    }
  }
  return ranges.map((range) => range.text);
}
