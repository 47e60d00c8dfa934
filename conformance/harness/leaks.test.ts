/** The leak check must see a leak: each kind is made by hand here, and found. */

import { execFileSync, spawn } from 'node:child_process';
import { mkdir, mkdtemp, open, rm, rmdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeCgroupBase } from './cgroup-base.ts';
import type { CgroupBase } from './cgroup-base.ts';
import { leaksBetween, snapshot } from './leaks.ts';
import type { LeakScope } from './leaks.ts';
import { requireWorld } from './world.ts';

let work = '';
let cgroups: CgroupBase;
let scope: LeakScope;

beforeAll(async () => {
  requireWorld();
  work = await mkdtemp(path.join(tmpdir(), 'berth-leaks-'));
  cgroups = await makeCgroupBase();
  for (const name of ['root', 'state', 'addresses', 'mounted']) await mkdir(path.join(work, name));
  scope = {
    root: path.join(work, 'root'),
    state: path.join(work, 'state'),
    addressDir: path.join(work, 'addresses'),
    permanentDevices: ['permanent0'],
    cgroupBase: cgroups.directory,
    pid: () => process.pid,
  };
});

afterAll(async () => {
  await cgroups.remove();
  await rm(work, { recursive: true, force: true });
});

const ip = (...args: string[]): void => void execFileSync('ip', args);
const nft = (...args: string[]): void => void execFileSync('nft', args);

interface Leak {
  readonly kind: string;
  readonly entry: RegExp;
  make(): Promise<() => unknown>;
}

const leaks: readonly Leak[] = [
  {
    kind: 'mount',
    entry: /^mount: .*\/mounted \(tmpfs leaked \/\)$/,
    make: async () => {
      execFileSync('mount', ['-t', 'tmpfs', 'leaked', path.join(work, 'mounted')]);
      return () => execFileSync('umount', [path.join(work, 'mounted')]);
    },
  },
  {
    kind: 'pinned network namespace',
    entry: /^(mount: \/run\/netns\/leaked|pinned network namespace: leaked)/,
    make: async () => {
      ip('netns', 'add', 'leaked');
      return () => ip('netns', 'delete', 'leaked');
    },
  },
  {
    kind: 'cgroup',
    entry: /^cgroup: .*\/leaked$/,
    make: async () => {
      await mkdir(path.join(cgroups.directory, 'leaked'));
      return () => rmdir(path.join(cgroups.directory, 'leaked'));
    },
  },
  {
    kind: 'interface',
    entry: /^interface: leaked0 /,
    make: async () => {
      ip('link', 'add', 'leaked0', 'type', 'bridge');
      return () => ip('link', 'delete', 'leaked0');
    },
  },
  {
    kind: 'rule',
    entry: /^rule: (chain leaked \{|ip daddr 192\.0\.2\.1 drop)$/,
    make: async () => {
      nft('add table ip leaked; add chain ip leaked leaked; add rule ip leaked leaked ip daddr 192.0.2.1 drop');
      return () => nft('delete table ip leaked');
    },
  },
  {
    kind: 'address',
    entry: /^address: 10\.0\.0\.7$/,
    make: async () => {
      await writeFile(path.join(work, 'addresses/10.0.0.7'), '');
      return () => rm(path.join(work, 'addresses/10.0.0.7'));
    },
  },
  {
    kind: 'file',
    entry: /^file: .*\/state\/leaked$/,
    make: async () => {
      await writeFile(path.join(work, 'state/leaked'), '');
      return () => rm(path.join(work, 'state/leaked'));
    },
  },
  {
    kind: 'process',
    entry: /^process: sleep sleep 4711$/,
    make: async () => {
      const child = spawn('sleep', ['4711']);
      await new Promise((resolve) => child.once('spawn', resolve));
      return () => new Promise((resolve) => child.once('exit', resolve) && child.kill());
    },
  },
];

test.each(leaks)('a leaked $kind is found, and only it', async ({ entry, make }) => {
  const before = await snapshot(scope);
  const undo = await make();
  try {
    const found = leaksBetween(before, await snapshot(scope)).filter((leak) => !leak.startsWith('descriptor:'));
    expect(found.length).toBeGreaterThan(0);
    for (const leak of found) expect(leak).toMatch(entry);
  } finally {
    await undo();
  }
});

test('a leaked descriptor is found', async () => {
  const before = await snapshot(scope);
  const handle = await open('/etc/passwd');
  expect(leaksBetween(before, await snapshot(scope))).toContain('descriptor: /etc/passwd');
  await handle.close();
});

test('what may stay is not reported', async () => {
  const before = await snapshot(scope);
  ip('link', 'add', 'permanent0', 'type', 'bridge');
  await writeFile(path.join(work, 'addresses/last_reserved_ip.0'), '');
  await mkdir(path.join(work, 'root/images'));
  await writeFile(path.join(work, 'root/images/index.json'), '');
  // The descriptors here are this process's own, and its children's pipes come and go.
  const found = leaksBetween(before, await snapshot(scope, { images: true })).filter((leak) => !leak.startsWith('descriptor:'));
  expect(found).toEqual([]);
  ip('link', 'delete', 'permanent0');
});
