import { accessSync, constants, statSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Where plugin binaries are. Found paths are remembered, because a search costs a stat per directory
 * and every pod asks; what is missing is not, so that a plugin installed later is found.
 */
export class PluginFinder {
  readonly #directories: readonly string[];
  readonly #found = new Map<string, string>();

  constructor(directories: readonly string[]) {
    this.#directories = directories;
  }

  /** For CNI_PATH, where plugins look for the IPAM plugin they delegate to. */
  get searchPath(): string {
    return this.#directories.join(':');
  }

  /** The absolute path of an executable file, or undefined. */
  find(type: string): string | undefined {
    const known = this.#found.get(type);
    if (known !== undefined) return known;
    const path = this.#directories.map((directory) => join(directory, type)).find(isExecutableFile);
    if (path !== undefined) this.#found.set(type, path);
    return path;
  }

  missing(types: readonly string[]): readonly string[] {
    return types.filter((type) => this.find(type) === undefined);
  }

  /** After a change in a directory, or when a remembered path turned out to be gone. */
  forget(): void {
    this.#found.clear();
  }

  get directories(): readonly string[] {
    return this.#directories;
  }
}

function isExecutableFile(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
