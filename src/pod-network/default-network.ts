import { join } from 'node:path';

import { parseCidr } from './cidr.ts';
import type { Cidr } from './cidr.ts';
import type { JsonRecord } from './json-record.ts';
import { parseNetworkList } from './network-list.ts';
import type { NetworkList } from './network-list.ts';
import type { PluginFinder } from './plugin-finder.ts';

/** The plugin of Berth's own that does a whole pod network in one process. */
const ownPlugin = 'berth-net';
const standardPlugins: readonly string[] = ['bridge', 'host-local', 'portmap'];
const networkName = 'berth';
const bridgeName = 'berth0';

export interface DefaultNetworkOptions {
  /** Directory under which address records are kept. */
  readonly dataRoot: string;
  readonly subnets: readonly string[];
  /** Finds Berth's own plugins alone. */
  readonly ownFinder: PluginFinder;
  readonly finder: PluginFinder;
}

/** The built-in bridge network for a node without any CNI configuration, or why there can be none. */
export function defaultNetwork(options: DefaultNetworkOptions): NetworkList | { readonly problem: string } {
  const ranges = options.subnets.map(parseCidr);
  if (ranges.length === 0) return { problem: 'cni.default_subnets is empty' };
  if (!ranges.every((range) => range !== undefined)) {
    return { problem: `cni.default_subnets has an entry that is no address range: ${options.subnets.join(', ')}` };
  }
  if (options.ownFinder.find(ownPlugin) !== undefined) return parseNetworkList(ownDocument(options.dataRoot, ranges));
  const missing = options.finder.missing(standardPlugins);
  if (missing.length === 0) return parseNetworkList(standardDocument(options.dataRoot, ranges));
  return {
    problem: `the built-in network needs ${ownPlugin} in ${options.ownFinder.searchPath}, or ${missing.join(', ')} in ${options.finder.searchPath}`,
  };
}

function ownDocument(dataRoot: string, ranges: readonly Cidr[]): JsonRecord {
  return {
    cniVersion: '1.0.0',
    name: networkName,
    plugins: [
      {
        type: ownPlugin,
        bridge: bridgeName,
        subnets: ranges.map((range) => range.text),
        dataDir: join(dataRoot, ownPlugin),
        masquerade: true,
        capabilities: { portMappings: true, ipRanges: true },
      },
    ],
  };
}

/**
 * The ranges are written out and `ipRanges` is not declared: host-local adds the runtime's ranges to
 * its own, and refuses a range that it then has twice.
 */
function standardDocument(dataRoot: string, ranges: readonly Cidr[]): JsonRecord {
  const families = new Set(ranges.map((range) => range.family));
  const routes = [...families].map((family) => ({ dst: family === 4 ? '0.0.0.0/0' : '::/0' }));
  const subnets = ranges.map((range) => [{ subnet: range.text }]);
  return {
    cniVersion: '1.0.0',
    name: networkName,
    plugins: [
      {
        type: 'bridge',
        bridge: bridgeName,
        isGateway: true,
        ipMasq: true,
        hairpinMode: true,
        ipam: { type: 'host-local', dataDir: join(dataRoot, 'host-local'), ranges: subnets, routes },
      },
      { type: 'portmap', capabilities: { portMappings: true } },
    ],
  };
}
