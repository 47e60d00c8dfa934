import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { parseNetworkFile } from './network-list.ts';
import type { NetworkList } from './network-list.ts';

export interface InvalidFile {
  readonly file: string;
  readonly problem: string;
}

/** What the node's configuration directory holds. */
export interface NodeConfiguration {
  readonly found: { readonly list: NetworkList; readonly file: string } | undefined;
  /** Files before the valid one, or all when there is none. */
  readonly invalid: readonly InvalidFile[];
  /** True when there is no configuration file at all, valid or not. */
  readonly empty: boolean;
}

const extensions = ['.conflist', '.conf', '.json'];

/** The first valid file in lexical order wins, as in every CNI runtime; the others are not read. */
export async function loadNodeConfiguration(directory: string): Promise<NodeConfiguration> {
  const invalid: InvalidFile[] = [];
  const names = await configurationFiles(directory, invalid);
  for (const name of names) {
    const file = join(directory, name);
    try {
      return { found: { list: parseNetworkFile(name, await readFile(file, 'utf8')), file }, invalid, empty: false };
    } catch (error) {
      // Removed since the directory was listed: the watch reports it, and nothing is wrong.
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') continue;
      invalid.push({ file, problem: error instanceof Error ? error.message : String(error) });
    }
  }
  return { found: undefined, invalid, empty: names.length === 0 && invalid.length === 0 };
}

async function configurationFiles(directory: string, invalid: InvalidFile[]): Promise<readonly string[]> {
  try {
    const names = await readdir(directory);
    return names.filter((name) => extensions.some((extension) => name.endsWith(extension))).toSorted();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    invalid.push({ file: directory, problem: error instanceof Error ? error.message : String(error) });
    return [];
  }
}
