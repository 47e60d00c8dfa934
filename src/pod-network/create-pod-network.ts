import { join } from 'node:path';

import type { Logger } from 'pino';
import type { Registry } from 'prom-client';

import type { Config } from '../config/config.ts';
import { wrapError } from '../errors/catalogue.ts';
import { systemClock } from '../telemetry/clock.ts';
import type { Clock } from '../telemetry/clock.ts';
import { AttachmentCache } from './attachment-cache.ts';
import { Attachments } from './attachments.ts';
import { CniPodNetwork } from './cni-pod-network.ts';
import { NetworkSelection } from './network-selection.ts';
import { PluginCaller } from './plugin-call.ts';
import { PluginChain } from './plugin-chain.ts';
import { PluginFinder } from './plugin-finder.ts';
import { pluginMetrics } from './plugin-metrics.ts';
import { PodCidr } from './pod-cidr.ts';
import type { PodNetwork } from './pod-network.ts';
import { StatusCheck } from './status-check.ts';

export interface PodNetworkOptions {
  readonly config: Config;
  readonly log: Logger;
  readonly metrics?: Registry;
  /** Where berth-net is, the plugin of the built-in network. */
  readonly ownPluginDir: string;
  readonly clock?: Clock;
}

/** Loads and watches the configuration; resolves when status() has a first answer. */
export async function createPodNetwork(options: PodNetworkOptions): Promise<PodNetwork> {
  const { config, ownPluginDir } = options;
  const log = options.log.child({ component: 'pod-network' });
  const dataRoot = join(config.root, 'network');
  // Berth's own first: its plugin must be of the version that this berthd was built with.
  const finder = new PluginFinder([ownPluginDir, ...config.cni.binDirs]);
  const caller = new PluginCaller(finder, pluginMetrics(options.metrics), log);
  const cache = new AttachmentCache(join(dataRoot, 'attachments'));
  const podCidr = new PodCidr(join(dataRoot, 'pod-cidr'), log);
  try {
    await cache.open();
    await podCidr.open();
  } catch (error) {
    throw wrapError(`opening the network records in ${dataRoot}`, error, 'STATE_FAILED');
  }
  const selection = new NetworkSelection({ config, ownPluginDir, finder, dataRoot, podCidrs: () => podCidr.ranges, log });
  const { timeoutSeconds, confDir } = config.cni;
  const statusCheck = new StatusCheck(caller, timeoutSeconds, log);
  selection.onSelected = (network) => statusCheck.watch(network);
  await selection.open();
  const clock = options.clock ?? systemClock();
  const attachments = new Attachments({ cache, chain: new PluginChain(caller), clock, timeoutSeconds, log });
  return new CniPodNetwork({ selection, statusCheck, attachments, cache, caller, podCidr, binDirs: finder.directories, confDir, timeoutSeconds, log });
}
