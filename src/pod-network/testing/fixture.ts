import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { pino } from 'pino';
import type { Logger } from 'pino';

import type { Config } from '../../config/config.ts';
import type { PodNetworkRequest } from '../pod-network.ts';

/** One call that a fake plugin saw. */
export interface RecordedCall {
  readonly plugin: string;
  readonly command: string;
  readonly containerId: string;
  readonly netns: string;
  readonly ifName: string;
  readonly args: string;
  readonly path: string;
  readonly input: Readonly<Record<string, unknown>>;
}

export const sandboxId = 'a'.repeat(64);

/** A temporary tree with plugin scripts, a configuration directory and a root, for one test. */
export class Fixture {
  readonly directory = mkdtempSync(join(tmpdir(), 'berth-cni-'));
  readonly confDir = join(this.directory, 'net.d');
  readonly binDir = join(this.directory, 'bin');
  readonly ownDir = join(this.directory, 'own');
  readonly log: Logger = pino({ level: 'silent' });

  constructor() {
    for (const path of [this.confDir, this.binDir, this.ownDir]) mkdirSync(path);
    writeFileSync(this.#callLog, '');
  }

  get #callLog(): string {
    return join(this.directory, 'calls');
  }

  config(overrides: Partial<Config['cni']> = {}): Config {
    return testConfig(this.directory, { confDir: this.confDir, binDirs: [this.binDir], ...overrides });
  }

  /**
   * A plugin that records each call; `body` is shell with $input, $CNI_COMMAND and `dir` at hand, and
   * what it prints is the plugin's output. The default answers ADD with one address.
   */
  plugin(name: string, body = 'if [ $CNI_COMMAND = ADD ]; then echo \'{"cniVersion":"1.0.0","ips":[{"address":"10.1.2.3/24"}]}\'; fi', directory = this.binDir): void {
    const script = `#!/bin/sh
dir='${this.directory}'
IFS= read -r input
printf '{"plugin":"%s","command":"%s","containerId":"%s","netns":"%s","ifName":"%s","args":"%s","path":"%s","input":%s}\\n' \\
  "${name}" "$CNI_COMMAND" "$CNI_CONTAINERID" "$CNI_NETNS" "$CNI_IFNAME" "$CNI_ARGS" "$CNI_PATH" "$input" >>"$dir/calls"
${body}
`;
    writeFileSync(join(directory, name), script, { mode: 0o755 });
  }

  /** Writes a file into the configuration directory. */
  conf(name: string, content: unknown): void {
    writeFileSync(join(this.confDir, name), typeof content === 'string' ? content : JSON.stringify(content));
  }

  /** A list of the named plugins. */
  conflist(name: string, plugins: readonly (string | Record<string, unknown>)[], extra: Record<string, unknown> = {}): void {
    const objects = plugins.map((plugin) => (typeof plugin === 'string' ? { type: plugin } : plugin));
    this.conf(`${name}.conflist`, { cniVersion: '1.0.0', name, plugins: objects, ...extra });
  }

  calls(): RecordedCall[] {
    const lines = readFileSync(this.#callLog, 'utf8').split('\n');
    return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as RecordedCall);
  }

  /** `plugin COMMAND` of every call, in order. */
  order(): string[] {
    return this.calls().map((call) => `${call.plugin} ${call.command}`);
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Settings with every path in `directory`. */
export function testConfig(directory: string, cni: Partial<Config['cni']>): Config {
  return {
    root: join(directory, 'root'),
    state: join(directory, 'state'),
    listen: 'unix:///nowhere',
    logLevel: 'info',
    streamAddress: '127.0.0.1:0',
    metricsAddress: '',
    nriSocket: '',
    cni: {
      confDir: join(directory, 'net.d'),
      binDirs: [],
      netnsDir: '/run/netns',
      defaultNetwork: false,
      defaultSubnets: ['10.88.0.0/16'],
      timeoutSeconds: 20,
      ...cni,
    },
    registry: { configDir: '', dockerCertsDir: '', authFile: '', maxConcurrentDownloads: 1, maxConcurrentUnpacks: 1, maxConcurrentPerPull: 1, attempts: 1, retryDelayMilliseconds: 1, progressTimeoutSeconds: 1 },
    stream: { tls: false, tlsCertificate: '', tlsKey: '', idleTimeoutSeconds: 60, maxSessions: 4, maxPending: 4 },
    images: { pinnedImages: [], maxLayerBytes: 1, maxLayerEntries: 1, maxLayerRatio: 1, maxPathLength: 1 },
    cdi: { specDirs: ['/nowhere'] },
    runtime: { cgroupDriver: 'cgroupfs', allowMissingControllers: true, pidsLimit: 0, privilegedWithoutHostDevices: false, logRateLimit: 0, maxConcurrentLaunches: 1 },
  };
}

export function podRequest(overrides: Partial<PodNetworkRequest> = {}): PodNetworkRequest {
  return {
    sandboxId,
    netnsPath: '/proc/self/ns/net',
    podNamespace: 'default',
    podName: 'web',
    podUid: 'uid-1',
    portMappings: [],
    annotations: {},
    cgroupPath: '',
    dns: { servers: [], searches: [], options: [] },
    ...overrides,
  };
}
