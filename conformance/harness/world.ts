/**
 * A private world for daemons, registries and their clients: own network, mount, PID, IPC and UTS
 * namespaces, made by util-linux's unshare, in which the same Node program is started again.
 *
 * - The network has loopback only, so a test can neither reach nor be reached from outside.
 * - Mounts do not propagate out. /run/netns and /var/lib/cni are empty file systems of its own.
 * - With the PID namespace, whatever a failed test leaves running dies with the world. PID 1 is a
 *   shell, which reaps the orphans that a killed daemon hands down.
 * - The cgroup mounts stay the machine's: a new /sys would hide them. What a world leaves there, and in
 *   its own temporary directory, is removed after its end, however it ended.
 */

import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { constants, tmpdir } from 'node:os';
import path from 'node:path';
import { CGROUP_PREFIX, removeCgroups } from './cgroup-base.ts';

const MARK = 'BERTH_WORLD';

/** The world's name of itself, what a host-network pod sees. */
export const WORLD_HOSTNAME = 'berth-world';

export function inWorld(): boolean {
  return (process.env[MARK] ?? '') !== '';
}

/** Throws where a scenario is run outside of a world: it would change the machine's own network. */
export function requireWorld(): void {
  if (!inWorld()) throw new Error('scenarios run in a world of their own: node conformance/run.ts');
}

const setUp = (pid: boolean): string => [
  'set -e',
  // Shared, as on a node that systemd has set up, but with nobody outside of this world.
  'mount --make-rshared /',
  'ip link set lo up',
  'sysctl -qw net.ipv4.ip_forward=1 || true',
  `hostname ${WORLD_HOSTNAME}`,
  'mkdir -p /run/netns /var/lib/cni',
  'mount -t tmpfs -o mode=755 berth-world /run/netns',
  'mount -t tmpfs -o mode=755 berth-world /var/lib/cni',
  // PID 1 has to reap orphans, and the shell does while it waits; elsewhere it would only swallow signals.
  pid ? 'set +e; "$@"; exit $?' : 'exec "$@"',
].join('\n');

export interface WorldOptions {
  readonly pid: boolean;
  /** False: the caller's network is its own already. */
  readonly net?: boolean;
}

/** Starts `command` in a new world and returns its exit code. */
export async function runInWorld(command: readonly string[], options: WorldOptions): Promise<number> {
  if (process.getuid?.() !== 0) throw new Error('a world of its own needs root');
  const namespaces = ['--mount', '--uts', '--ipc', '--propagation', 'private'];
  if (options.net ?? true) namespaces.push('--net');
  if (options.pid) namespaces.push('--pid', '--fork', '--mount-proc', '--kill-child=SIGKILL');
  const temporary = await mkdtemp(path.join(tmpdir(), 'bw-'));
  const mark = path.basename(temporary);
  const child = spawn('unshare', [...namespaces, '--', 'sh', '-c', setUp(options.pid), 'world', ...command], {
    stdio: 'inherit',
    env: { ...process.env, [MARK]: mark, TMPDIR: temporary },
  });
  // PID 1 of a namespace is deaf to SIGTERM; with unshare gone, --kill-child takes the world down.
  process.on('SIGTERM', () => void child.kill(options.pid ? 'SIGKILL' : 'SIGTERM'));
  // The terminal sends SIGINT to everybody: wait for the child to finish its clean-up.
  process.on('SIGINT', () => undefined);
  try {
    return await new Promise<number>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
    });
  } finally {
    await removeCgroups(`${CGROUP_PREFIX}${mark}-`);
    await rm(temporary, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Runs `main` in a world: at first call starts this program again in one, then exits with its code. */
export async function inOwnWorld(options: WorldOptions, main: () => Promise<number>): Promise<void> {
  const [, script = '', ...rest] = process.argv;
  process.exitCode = inWorld() ? await main() : await runInWorld([process.execPath, script, ...rest], options);
}
