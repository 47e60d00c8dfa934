/** CNI: the configuration that counts, and the plugins it names. */
import { constants } from 'node:fs';
import { access, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../../config/config.ts';
import { essential, optional, type Check } from './check.ts';

interface NetworkFile {
  readonly file: string;
  readonly types: readonly string[];
}

export async function networkChecks(cni: Config['cni'], builtInPlugin: string): Promise<Check[]> {
  const found = await firstConfiguration(cni.confDir);
  if (typeof found === 'string') {
    return [{ area: 'network', name: 'CNI configuration', state: 'missing', found, cost: 'pods get no network; repair the file' }];
  }
  if (found === undefined) return [await defaultNetworkCheck(cni, builtInPlugin)];
  const parts = { area: 'network', name: 'CNI configuration', found: found.file } as const;
  const plugins = await Promise.all(found.types.map((type) => pluginCheck(type, cni.binDirs)));
  return [optional(parts, true, ''), ...plugins];
}

async function pluginCheck(type: string, directories: readonly string[]): Promise<Check> {
  const path = await findExecutable(type, directories);
  const parts = { area: 'network', name: `CNI plugin ${type}`, found: path ?? `not in ${directories.join(', ')}` } as const;
  return essential(parts, path !== undefined, 'pods get no network; install the plugin');
}

/** What berthd's own network is made of where berth-net is not installed. */
const standardPlugins = ['bridge', 'host-local', 'portmap'];

async function defaultNetworkCheck(cni: Config['cni'], ownPlugin: string): Promise<Check> {
  const none = `none in ${cni.confDir}`;
  const parts = { area: 'network', name: 'CNI configuration', found: none } as const;
  if (!cni.defaultNetwork) return optional(parts, false, "pods wait for the cluster's network add-on to install one");
  if (await executable(ownPlugin)) return optional({ ...parts, found: `${none}; Berth's own network, by berth-net` }, true, '');
  const found = await Promise.all(standardPlugins.map((name) => findExecutable(name, cni.binDirs)));
  if (found.every((path) => path !== undefined)) {
    return optional({ ...parts, found: `${none}; Berth's own network, by the standard plugins` }, true, '');
  }
  return optional(parts, false, `Berth's own network needs ${ownPlugin}, or ${standardPlugins.join(', ')} in ${cni.binDirs.join(', ')}`);
}

/** The first file by name, as libcni and berthd choose; a text says why it cannot be read. */
async function firstConfiguration(directory: string): Promise<NetworkFile | string | undefined> {
  const names = await readdir(directory).catch(() => []);
  const name = names.filter((each) => /\.(conflist|conf|json)$/.test(each)).toSorted()[0];
  if (name === undefined) return undefined;
  const file = join(directory, name);
  try {
    return { file, types: pluginTypes(await readFile(file, 'utf8')) };
  } catch (error) {
    return `${file}: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** Plugin types and their IPAM types, of a list or a single configuration (CNI specification, section 1). */
export function pluginTypes(text: string): string[] {
  const network = asRecord(JSON.parse(text) as unknown);
  const plugins = Array.isArray(network['plugins']) ? (network['plugins'] as unknown[]).map(asRecord) : [network];
  const types = plugins.flatMap((plugin) => [plugin['type'], 'ipam' in plugin ? asRecord(plugin['ipam'])['type'] : undefined]);
  const named = types.filter((type): type is string => typeof type === 'string' && type !== '');
  if (named.length === 0) throw new Error('names no plugin');
  return [...new Set(named)];
}

function asRecord(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('is not a CNI configuration');
  return value as Readonly<Record<string, unknown>>;
}

export async function findExecutable(name: string, directories: readonly string[]): Promise<string | undefined> {
  for (const directory of directories) {
    const path = join(directory, name);
    if (await executable(path)) return path;
  }
  return undefined;
}

export async function executable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}
