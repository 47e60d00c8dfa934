import { asRecord } from './json-record.ts';
import type { JsonRecord } from './json-record.ts';

/**
 * A CNI network configuration list, checked. `plugins` are the objects as they stand in the file:
 * plugins own every key that the CNI specification does not name.
 */
export interface NetworkList {
  readonly name: string;
  readonly cniVersion: string;
  readonly plugins: readonly PluginConfig[];
  readonly disableGC: boolean;
}

export interface PluginConfig {
  readonly type: string;
  /** Capability names the plugin declares as true. */
  readonly capabilities: readonly string[];
  /** The IPAM plugin it delegates to; empty for none. */
  readonly ipamType: string;
  readonly raw: JsonRecord;
}

/** Oldest first. 0.3.0 differs from 0.3.1 in wording alone, but 0.1.0 and 0.2.0 cannot chain. */
const supportedVersions: readonly string[] = ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'];

/** CNI specification, "Network configuration format": alphanumeric first, then also `_`, `.` and `-`. */
const networkName = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/;

/** Parses a file by its name: `.conflist` holds a list, `.conf` and `.json` one plugin, wrapped here. */
export function parseNetworkFile(fileName: string, text: string): NetworkList {
  const document = parseObject(text);
  if (fileName.endsWith('.conflist')) return parseNetworkList(document);
  if (document['type'] === undefined) {
    throw new Error('no "type"; a file with a list of "plugins" must be named *.conflist');
  }
  return parseNetworkList({ name: document['name'], cniVersion: document['cniVersion'], plugins: [document] });
}

export function parseNetworkList(document: JsonRecord): NetworkList {
  const plugins = document['plugins'];
  if (!Array.isArray(plugins) || plugins.length === 0) throw new Error('"plugins" must be a list of at least one plugin');
  return {
    name: checkedName(document['name']),
    cniVersion: chooseVersion(document),
    plugins: plugins.map((plugin: unknown, index) => parsePlugin(plugin, `plugins[${index}]`)),
    disableGC: document['disableGC'] === true || document['disableGC'] === 'true',
  };
}

export function atLeast(version: string, minimum: string): boolean {
  return supportedVersions.indexOf(version) >= supportedVersions.indexOf(minimum);
}

/** The list as one JSON document again, for the cache and for files of our own. */
export function listDocument(list: NetworkList): JsonRecord {
  return {
    cniVersion: list.cniVersion,
    name: list.name,
    ...(list.disableGC ? { disableGC: true } : {}),
    plugins: list.plugins.map((plugin) => plugin.raw),
  };
}

/** Every binary that running the list needs, each once, in list order. */
export function requiredPlugins(list: NetworkList): readonly string[] {
  const types = list.plugins.flatMap((plugin) => (plugin.ipamType === '' ? [plugin.type] : [plugin.type, plugin.ipamType]));
  return [...new Set(types)];
}

function parseObject(text: string): JsonRecord {
  const document: unknown = JSON.parse(text);
  const record = asRecord(document);
  if (record === undefined) throw new Error('not a JSON object');
  return record;
}

function checkedName(name: unknown): string {
  if (typeof name !== 'string' || name === '') throw new Error('no "name"');
  if (!networkName.test(name)) throw new Error(`"name" ${JSON.stringify(name)} must match ${networkName.source}`);
  return name;
}

/** `cniVersions` (CNI 1.1) offers alternatives: the newest that we speak is taken. */
function chooseVersion(document: JsonRecord): string {
  const offered: unknown[] = Array.isArray(document['cniVersions']) ? [...(document['cniVersions'] as unknown[])] : [];
  if (document['cniVersion'] !== undefined) offered.push(document['cniVersion']);
  const best = supportedVersions.findLast((version) => offered.includes(version));
  if (best !== undefined) return best;
  const found = offered.length === 0 ? 'no "cniVersion"' : `"cniVersion" ${offered.map((version) => JSON.stringify(version)).join(', ')}`;
  throw new Error(`${found}; versions ${supportedVersions[0]} to ${supportedVersions.at(-1)} are supported`);
}

function parsePlugin(value: unknown, path: string): PluginConfig {
  const raw = asRecord(value);
  if (raw === undefined) throw new Error(`${path} is not an object`);
  const type = pluginType(raw['type'], `${path}.type`);
  const ipam = asRecord(raw['ipam']);
  const ipamType = ipam === undefined || ipam['type'] === undefined || ipam['type'] === '' ? '' : pluginType(ipam['type'], `${path}.ipam.type`);
  return { type, capabilities: declaredCapabilities(raw['capabilities'], path), ipamType, raw };
}

/** A type is a file name in a plugin directory; with a `/` in it, it would name any program on the node. */
function pluginType(value: unknown, path: string): string {
  if (typeof value !== 'string' || value === '') throw new Error(`${path} is missing`);
  if (value.includes('/') || value.includes('\0') || value === '.' || value === '..') {
    throw new Error(`${path} ${JSON.stringify(value)} must be a plain file name`);
  }
  return value;
}

function declaredCapabilities(value: unknown, path: string): readonly string[] {
  if (value === undefined) return [];
  const record = asRecord(value);
  if (record === undefined) throw new Error(`${path}.capabilities is not an object`);
  return Object.keys(record).filter((name) => record[name] === true);
}
