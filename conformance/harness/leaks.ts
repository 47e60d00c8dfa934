/**
 * What a daemon could leave on the machine, listed before and after: mounts, namespaces, cgroups,
 * interfaces, rules, addresses, files, processes, open descriptors. Two lists are compared, so the
 * check needs no knowledge of how Berth names things.
 */

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile, readdir, readlink } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface LeakScope {
  readonly root: string;
  readonly state: string;
  /** host-local's directory of addresses. */
  readonly addressDir: string;
  /** Devices that a CNI plugin leaves by design. */
  readonly permanentDevices: readonly string[];
  /** Absolute cgroup directory under which all pods of the test live. */
  readonly cgroupBase: string;
  /** berthd's; 0 while it is not running. */
  readonly pid: () => number;
}

/** Kind → sorted entries. */
export type Snapshot = ReadonlyMap<string, readonly string[]>;

export interface SnapshotOptions {
  /** Also the image store; for scenarios that must not leave a part of an image. */
  readonly images?: boolean;
}

export async function snapshot(scope: LeakScope, options: SnapshotOptions = {}): Promise<Snapshot> {
  const kinds: Record<string, Promise<string[]>> = {
    mount: mounts(),
    'pinned network namespace': names('/run/netns'),
    cgroup: directories(scope.cgroupBase),
    interface: interfaces(scope.permanentDevices),
    rule: rules(),
    address: addresses(scope.addressDir),
    file: files(scope, options.images === true),
    descriptor: descriptors(scope.pid()),
  };
  const lists = await Promise.all(Object.entries(kinds).map(async ([kind, list]) => [kind, (await list).sort()] as const));
  // The programs that were asked above have ended by now.
  return new Map([...lists, ['process', (await processes()).sort()] as const]);
}

/** What is there now and was not before, one line each. */
export function leaksBetween(before: Snapshot, after: Snapshot): string[] {
  const leaks: string[] = [];
  for (const [kind, now] of after) {
    const rest = [...(before.get(kind) ?? [])];
    for (const entry of now) {
      const at = rest.indexOf(entry);
      if (at < 0) leaks.push(`${kind}: ${entry}`);
      else rest.splice(at, 1);
    }
  }
  return leaks;
}

/** Throws with the list of what stays behind. Clean-up that still runs gets the time to finish. */
export async function expectNoLeaks(scope: LeakScope, before: Snapshot, options: SnapshotOptions = {}): Promise<Snapshot> {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const after = await snapshot(scope, options);
    const leaks = leaksBetween(before, after);
    if (leaks.length === 0) return after;
    if (Date.now() > deadline) throw new Error(`left behind:\n  ${leaks.join('\n  ')}`);
    await sleep(100);
  }
}

async function mounts(): Promise<string[]> {
  const table = await readFile('/proc/self/mountinfo', 'utf8');
  return table.trim().split('\n').map((line) => {
    const [left = '', right = ''] = line.split(' - ');
    const [, , , from = '', at = ''] = left.split(' ');
    const [type = '', source = ''] = right.split(' ');
    return `${at} (${type} ${source} ${from})`;
  });
}

async function names(directory: string): Promise<string[]> {
  return readdir(directory).catch(() => []);
}

async function directories(base: string): Promise<string[]> {
  const found = await readdir(base, { recursive: true, withFileTypes: true }).catch(() => []);
  return found.filter((entry) => entry.isDirectory()).map((entry) => path.join(entry.parentPath, entry.name));
}

async function interfaces(permanent: readonly string[]): Promise<string[]> {
  const { stdout } = await run('ip', ['-j', 'address', 'show']);
  const devices = JSON.parse(stdout) as { ifname: string; addr_info: { local: string; scope: string }[] }[];
  return devices
    .filter((device) => !permanent.includes(device.ifname))
    .map((device) => `${device.ifname} ${device.addr_info.map((address) => address.local).join(' ')}`);
}

/**
 * What iptables and the portmap plugin make once and never delete: tables, the built-in chains, the
 * CNI-HOSTPORT chains, and the jumps into those. A pod's own rules are in chains of other names.
 */
const PERMANENT_RULES = [
  /^(table |type |\}|# Warning)/,
  /^chain (PREROUTING|POSTROUTING|INPUT|FORWARD|OUTPUT|CNI-HOSTPORT-(DNAT|SETMARK|MASQ)) \{/,
  /jump CNI-HOSTPORT-(DNAT|SETMARK|MASQ)$/,
  /CNI portfwd (requiring masquerade|masquerade mark)/,
  /^(meta )?mark (and|&) 0x0*2000.*masquerade$/,
  /^(counter )?(meta )?mark set .*0x0*2000$/,
  /^xt (match|target) "(comment|mark|MARK|addrtype)"/,
];

async function rules(): Promise<string[]> {
  const { stdout } = await run('nft', ['--stateless', 'list', 'ruleset']);
  const lines = stdout.split('\n').map((line) => line.trim());
  return lines.filter((line) => line !== '' && !PERMANENT_RULES.some((permanent) => permanent.test(line)));
}

async function addresses(directory: string): Promise<string[]> {
  return (await names(directory)).filter((name) => name !== 'lock' && !name.startsWith('last_reserved_ip'));
}

/** Berth's own, there from the first use on: the index of the image store, the kubelet's pod CIDR. */
const PERMANENT_FILES = new Set(['images/oci-layout', 'images/index.json', 'images/index.previous.json', 'network/pod-cidr']);

/** Finished layers of a failed pull: verified, and kept for a while for its retry. */
async function finishedLayers(root: string): Promise<string[]> {
  const staged = (await names(path.join(root, 'staging'))).map((name) => path.join(root, 'staging', name));
  return staged.filter((directory) => existsSync(path.join(directory, 'layer.json')));
}

/** Files, and directories named after an object; berthd may keep its empty top-level directories. */
async function files(scope: LeakScope, images: boolean): Promise<string[]> {
  const found: string[] = [];
  const finished = await finishedLayers(scope.root);
  for (const top of [scope.root, scope.state]) {
    for (const entry of await readdir(top, { recursive: true, withFileTypes: true }).catch(() => [])) {
      const full = path.join(entry.parentPath, entry.name);
      if (finished.some((layer) => full === layer || full.startsWith(`${layer}/`))) continue;
      const relative = path.relative(scope.root, full);
      // Compiled filters, kept for the next container with the same profile.
      if (entry.parentPath === path.join(scope.state, 'seccomp')) continue;
      if (PERMANENT_FILES.has(relative) || (!images && /^(images|layers)(\/|$)/.test(relative))) continue;
      if (!entry.isDirectory() || /[0-9a-f]{64}/.test(entry.name)) found.push(full);
    }
  }
  return found;
}

/** PF_KTHREAD, in the flags of /proc/PID/stat. */
const KERNEL_THREAD = 0x200000;

/**
 * Every process of the world (it has a PID namespace of its own) but the test runner's. Without their
 * numbers: berthd and its launcher may have been started anew.
 */
async function processes(): Promise<string[]> {
  const list: string[] = [];
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => undefined);
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
    if (command === undefined || stat === undefined || /vitest|rolldown|esbuild/.test(command)) continue;
    const [name = '', state = '', flags = ''] = /\((.*)\) (\S)(?: -?\d+){5} (\d+)/s.exec(stat)?.slice(1) ?? [];
    // Seen where the world is a machine: the kernel starts and ends its workers as it likes.
    if ((Number(flags) & KERNEL_THREAD) !== 0) continue;
    list.push(`${name} ${state === 'Z' ? '(zombie)' : command.replaceAll('\0', ' ').trim()}`);
  }
  return list;
}

/** berthd's descriptors by what they are; numbers and inodes differ from one moment to the next. */
async function descriptors(pid: number): Promise<string[]> {
  if (pid === 0) return [];
  const open: string[] = [];
  for (const number of await names(`/proc/${pid}/fd`)) {
    const target = await readlink(`/proc/${pid}/fd/${number}`).catch(() => undefined);
    if (target !== undefined) open.push(target.replace(/:\[\d+\]$/, ''));
  }
  return open;
}
