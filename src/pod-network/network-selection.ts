import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import type { Logger } from 'pino';

import type { Config } from '../config/config.ts';
import { BerthError } from '../errors/catalogue.ts';
import { readIfPresent, replaceFile } from './atomic-file.ts';
import { defaultNetwork } from './default-network.ts';
import { DirectoryWatch } from './directory-watch.ts';
import { listDocument, requiredPlugins } from './network-list.ts';
import type { NetworkList } from './network-list.ts';
import { loadNodeConfiguration } from './node-configuration.ts';
import type { InvalidFile, NodeConfiguration } from './node-configuration.ts';
import { PluginFinder } from './plugin-finder.ts';
import type { NetworkStatus } from './pod-network.ts';

export interface SelectionOptions {
  readonly config: Config;
  readonly ownPluginDir: string;
  readonly finder: PluginFinder;
  readonly dataRoot: string;
  /** The ranges that the kubelet gave, if any. */
  readonly podCidrs: () => readonly string[];
  readonly log: Logger;
}

/** The network that new pods get. */
export interface SelectedNetwork {
  readonly list: NetworkList;
  readonly file: string;
  readonly origin: 'node' | 'built-in';
}

const ready: NetworkStatus = { ready: true, reason: '', message: '' };

/** Decides which network counts, and again whenever a directory it depends on changes. */
export class NetworkSelection {
  readonly #options: SelectionOptions;
  readonly #ownFinder: PluginFinder;
  #watches: readonly DirectoryWatch[] = [];
  #network: SelectedNetwork | undefined;
  #invalid: readonly InvalidFile[] = [];
  #status: NetworkStatus = { ready: false, reason: 'NetworkNotLoaded', message: 'the network configuration is not loaded yet' };
  /** Set once the node had a configuration of its own: see #choose. */
  #nodeFile: string | undefined;
  #reloading: Promise<void> = Promise.resolve();
  onSelected: (network: SelectedNetwork | undefined) => void = () => undefined;

  constructor(options: SelectionOptions) {
    this.#options = options;
    this.#ownFinder = new PluginFinder([options.ownPluginDir]);
  }

  /** Watches first, then loads: what changes in between is then seen twice rather than never. */
  async open(): Promise<void> {
    const { config, ownPluginDir, log } = this.#options;
    const directories = new Set([config.cni.confDir, ...config.cni.binDirs, ownPluginDir]);
    const onChange = (): void => void this.reload();
    this.#watches = [...directories].map((directory) => new DirectoryWatch(directory, onChange, log));
    await this.reload();
  }

  async close(): Promise<void> {
    for (const watch of this.#watches) watch.close();
    await this.#reloading;
  }

  get status(): NetworkStatus {
    return this.#status;
  }

  get network(): SelectedNetwork | undefined {
    return this.#network;
  }

  get invalid(): readonly InvalidFile[] {
    return this.#invalid;
  }

  /** The network, when its plugins are there as well. */
  usable(): SelectedNetwork {
    if (this.#network !== undefined && this.#status.ready) return this.#network;
    throw new BerthError('NETWORK_NOT_READY', `${this.#status.reason}: ${this.#status.message}`);
  }

  /** One at a time; never rejects. */
  reload(): Promise<void> {
    this.#reloading = this.#reloading.then(async () => {
      try {
        await this.#reload();
      } catch (error) {
        this.#options.log.error({ err: error }, 'loading the network configuration failed');
        this.#status = notReady('NetworkConfigUnreadable', error instanceof Error ? error.message : String(error));
      }
    });
    return this.#reloading;
  }

  async #reload(): Promise<void> {
    this.#options.finder.forget();
    this.#ownFinder.forget();
    const node = await loadNodeConfiguration(this.#options.config.cni.confDir);
    this.#reportInvalid(node.invalid);
    const choice = await this.#choose(node);
    const network = 'list' in choice ? choice : undefined;
    const changed = JSON.stringify(network) !== JSON.stringify(this.#network);
    this.#network = network;
    const before = this.#status;
    this.#status = 'list' in choice ? this.#networkStatus(choice) : choice;
    if (changed || before.message !== this.#status.message) {
      const shown = { network: network?.list.name, file: network?.file, origin: network?.origin, status: this.#status };
      this.#options.log.info(shown, 'pod network selected');
    }
    if (changed) this.onSelected(network);
  }

  /**
   * The built-in network stands in only while the node never had a configuration: when one goes away,
   * its installer is being upgraded, and pods made meanwhile must not land on another network.
   */
  async #choose(node: NodeConfiguration): Promise<SelectedNetwork | NetworkStatus> {
    const { confDir, defaultNetwork: wanted } = this.#options.config.cni;
    if (node.found !== undefined) {
      this.#nodeFile = node.found.file;
      return { ...node.found, origin: 'node' };
    }
    if (!node.empty) return notReady('NetworkConfigInvalid', `no valid CNI configuration in ${confDir}: ${listInvalid(node.invalid)}`);
    if (this.#nodeFile !== undefined) return notReady('NetworkConfigMissing', `${this.#nodeFile} was removed and nothing took its place`);
    if (!wanted) return notReady('NetworkConfigMissing', `no CNI configuration in ${confDir}`);
    return await this.#builtIn();
  }

  async #builtIn(): Promise<SelectedNetwork | NetworkStatus> {
    const { config, finder, dataRoot, podCidrs } = this.#options;
    const given = podCidrs();
    const subnets = given.length > 0 ? given : config.cni.defaultSubnets;
    const list = defaultNetwork({ dataRoot, subnets, ownFinder: this.#ownFinder, finder });
    if ('problem' in list) {
      return notReady('NetworkPluginMissing', `no CNI configuration in ${config.cni.confDir}, and ${list.problem}`);
    }
    // For the operator to read; berthd itself goes by what it has in memory.
    const directory = join(config.state, 'cni', 'net.d');
    await mkdir(directory, { recursive: true, mode: 0o755 });
    const file = join(directory, '10-berth.conflist');
    const content = `${JSON.stringify(listDocument(list), undefined, 2)}\n`;
    if ((await readIfPresent(file)) !== content) await replaceFile(file, content);
    return { list, file, origin: 'built-in' };
  }

  #networkStatus(network: SelectedNetwork): NetworkStatus {
    const missing = this.#options.finder.missing(requiredPlugins(network.list));
    if (missing.length > 0) {
      const place = this.#options.finder.directories.join(', ');
      return notReady('NetworkPluginMissing', `network ${network.list.name} (${network.file}): no plugin ${missing.join(', ')} in ${place}`);
    }
    if (this.#invalid.length === 0) return ready;
    return { ready: true, reason: '', message: `skipped: ${listInvalid(this.#invalid)}` };
  }

  #reportInvalid(invalid: readonly InvalidFile[]): void {
    const known = new Set(this.#invalid.map((entry) => `${entry.file}\0${entry.problem}`));
    for (const entry of invalid) {
      if (!known.has(`${entry.file}\0${entry.problem}`)) this.#options.log.warn(entry, 'invalid CNI configuration file skipped');
    }
    this.#invalid = invalid;
  }
}

function notReady(reason: string, message: string): NetworkStatus {
  return { ready: false, reason, message };
}

function listInvalid(invalid: readonly InvalidFile[]): string {
  return invalid.map((entry) => `${entry.file}: ${entry.problem}`).join('; ');
}
