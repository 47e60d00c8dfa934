/** A berthd with roots, sockets and network of its own, that can be stopped, killed and started again. */

import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { connectCri } from './cri-client.ts';
import { bridgeNetwork } from './bridge-network.ts';
import type { BridgeNetwork } from './bridge-network.ts';

const project = fileURLToPath(new URL('../../', import.meta.url));
const READY_MS = 120_000;
const STOP_MS = 20_000;

export interface DaemonOptions {
  /** Host (as in a reference, or `_default`) → URL of the registry that serves it. */
  readonly registries?: Readonly<Record<string, string>>;
  /** False: an empty CNI directory, so that berthd offers its own network. */
  readonly cni?: boolean;
  /** True: berthd has to enforce every limit, which takes a machine with all controllers. */
  readonly enforceLimits?: boolean;
  readonly cniBinDir?: string;
  readonly logLevel?: 'trace' | 'debug' | 'info' | 'warn';
  readonly flags?: readonly string[];
  /** The text of a configuration file, for settings that have no flag. */
  readonly settings?: string;
  readonly env?: Readonly<Record<string, string>>;
}

export interface Daemon {
  /** Everything of this daemon lies below it. */
  readonly directory: string;
  readonly root: string;
  readonly state: string;
  readonly cniConfDir: string;
  readonly network: BridgeNetwork;
  /** `unix:///…` */
  readonly socket: string;
  readonly pid: number;
  readonly log: readonly string[];
  start(): Promise<void>;
  /** SIGTERM, and waits for an orderly end. */
  stop(): Promise<void>;
  /** SIGKILL: what berthd cannot prepare for. */
  kill(): Promise<void>;
  setRegistry(host: string, url: string): Promise<void>;
  /** Stops it and deletes its directory. */
  dispose(): Promise<void>;
}

/** The production bundle when it is asked for with BERTHD, otherwise the sources. */
export function berthdCommand(): readonly [string, ...string[]] {
  const chosen = process.env['BERTHD'];
  if (chosen !== undefined && chosen !== '') return [chosen];
  return [process.execPath, path.join(project, 'src/main.ts')];
}

export async function prepareDaemon(options: DaemonOptions = {}): Promise<Daemon> {
  const directory = await mkdtemp(path.join(tmpdir(), 'berth-'));
  const at = (name: string): string => path.join(directory, name);
  const network = bridgeNetwork(at('addresses'));
  for (const name of ['root', 'state', 'cni', 'certs.d']) await mkdir(at(name));
  if (options.cni !== false) await writeFile(at('cni/10-test.conflist'), JSON.stringify(network.conflist));
  const setRegistry = async (host: string, url: string): Promise<void> => {
    await mkdir(at(`certs.d/${host}`), { recursive: true });
    const server = host === '_default' ? '' : `server = "${url}"\n\n`;
    await writeFile(at(`certs.d/${host}/hosts.toml`), `${server}[host."${url}"]\n  capabilities = ["pull", "resolve"]\n`);
  };
  for (const [host, url] of Object.entries(options.registries ?? {})) await setRegistry(host, url);
  const socket = `unix://${at('berth.sock')}`;
  if (options.settings !== undefined) await writeFile(at('berth.toml'), options.settings);
  const flags = [
    ...(options.settings === undefined ? [] : ['--config', at('berth.toml')]),
    '--root', at('root'), '--state', at('state'), '--listen', socket,
    '--cni-conf-dir', at('cni'), '--cni-bin-dir', options.cniBinDir ?? '/usr/lib/cni', '--registry-config-dir', at('certs.d'),
    '--stream-address', '127.0.0.1:0', '--metrics-address', '', '--log-level', options.logLevel ?? 'debug',
    ...(options.enforceLimits === true ? [] : ['--allow-missing-controllers']),
    ...(options.flags ?? []),
  ];
  const log: string[] = [];
  let child: ChildProcess | undefined;
  const halt = async (signal: NodeJS.Signals): Promise<void> => {
    if (child !== undefined) await end(child, signal);
    child = undefined;
  };
  const daemon: Daemon = {
    directory,
    root: at('root'),
    state: at('state'),
    cniConfDir: at('cni'),
    network,
    socket,
    log,
    get pid() {
      return child?.pid ?? 0;
    },
    start: async () => {
      child = launch(flags, log, options.env ?? {});
      await ready(child, socket, log);
    },
    stop: () => halt('SIGTERM'),
    kill: () => halt('SIGKILL'),
    setRegistry,
    dispose: async () => {
      if (child !== undefined) await removePods(socket).catch(() => undefined);
      await halt('SIGTERM');
      unmountBelow(directory);
      spawnSync('ip', ['link', 'delete', network.bridge], { stdio: 'ignore' });
      await rm(directory, { recursive: true, force: true });
    },
  };
  return daemon;
}

/** After a failure there may be pods, and with their processes they would outlive the daemon. */
async function removePods(socket: string): Promise<void> {
  const cri = connectCri(socket);
  try {
    for (const { id } of (await cri.call('ListPodSandbox', {})).items) {
      await cri.call('StopPodSandbox', { pod_sandbox_id: id });
      await cri.call('RemovePodSandbox', { pod_sandbox_id: id });
    }
  } finally {
    cri.close();
  }
}

/** What a failed run has left mounted would keep the directory from being deleted. */
function unmountBelow(directory: string): void {
  const table = readFileSync('/proc/self/mountinfo', 'utf8').split('\n').map((line) => line.split(' ')[4] ?? '');
  for (const at of table.filter((mount) => mount.startsWith(`${directory}/`)).reverse()) spawnSync('umount', ['-l', at], { stdio: 'ignore' });
}

function launch(flags: readonly string[], log: string[], env: Readonly<Record<string, string>>): ChildProcess {
  const [program, ...first] = berthdCommand();
  const child = spawn(program, [...first, ...flags], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
  for (const stream of [child.stdout, child.stderr]) if (stream !== null) createInterface(stream).on('line', (line) => log.push(line));
  child.on('error', (error) => log.push(`does not start: ${error.message}`));
  return child;
}

/** Ready is: it answers. */
async function ready(child: ChildProcess, socket: string, log: readonly string[]): Promise<void> {
  const deadline = Date.now() + READY_MS;
  const cri = connectCri(socket);
  try {
    for (;;) {
      if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) {
        await sleep(100);
        throw new Error(`berthd ended with ${child.exitCode ?? child.signalCode}:\n${log.slice(-30).join('\n')}`);
      }
      try {
        await cri.call('Version', {}, { timeoutMs: 1000 });
        return;
      } catch (error) {
        if (Date.now() > deadline) throw new Error(`berthd does not answer:\n${log.slice(-30).join('\n')}`, { cause: error });
      }
      await sleep(20);
    }
  } finally {
    cri.close();
  }
}

function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  return new Promise((resolve, reject) => {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return resolve();
    const late = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new Error(`berthd did not end within ${STOP_MS} ms of ${signal}`));
    }, STOP_MS);
    child.once('exit', () => {
      clearTimeout(late);
      resolve();
    });
    child.kill(signal);
  });
}
