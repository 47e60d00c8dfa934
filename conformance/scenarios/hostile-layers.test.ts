/**
 * Layers that want out or want too much: refused by name, with the setting of the limit, in bounded memory, with
 * nothing kept and nothing of the machine changed.
 */

import { execFileSync } from 'node:child_process';
import { existsSync, lstatSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { connectCri } from '../harness/cri-client.ts';
import { prepareDaemon } from '../harness/daemon.ts';
import { compressedTwice, dangerousFiles, deep, dotDot, emptyEntries, emptyFiles, endlessMap, hardlinkToHost, throughSymlink, zeros } from '../harness/hostile-images.ts';
import { busybox } from '../harness/images.ts';
import { push } from '../harness/push.ts';
import { expectCode, useStage } from '../harness/stage.ts';
import { differences, listTree } from '../harness/tree-listing.ts';
import type { Listing } from '../harness/tree-listing.ts';
import { eventually } from '../harness/wait.ts';

const MAX_ENTRIES = 40_000;
const MAX_BYTES = 2 ** 31;
/** What berth-unpack allows itself (native/unpack/main.c), and its program. */
const UNPACKER_KIB = 600 * 1024;
const BERTHD_GROWTH_KIB = 128 * 1024;
const TMPFS_INODES = 6000;
const VICTIM = '/tmp/berth-victim';

const stage = useStage({
  images: {
    entries: () => emptyEntries(10_000_000),
    'gzip-bomb': () => zeros(3, 'gzip'),
    'zstd-bomb': () => zeros(3, 'zstd'),
    twice: compressedTwice,
    map: endlessMap,
    climbs: () => dotDot(`../../../../../../../..${VICTIM}`),
    'linked-out': () => hardlinkToHost(`../../../../../../../..${VICTIM}`),
    'too-deep': () => deep(2100),
    deep: () => deep(1900),
    swapped: () => throughSymlink('/tmp', path.basename(VICTIM)),
    dangerous: dangerousFiles,
  },
  pulled: [],
  leaks: { images: true },
  settings: `[images]\nmax_layer_entries = ${MAX_ENTRIES}\nmax_layer_bytes = ${MAX_BYTES}\n`,
});

let before: Listing;
/** The machine's own configuration, and a file where the layers would write. */
const machine = (): Listing => new Map([...listTree('/etc'), ...[...listTree(VICTIM)].map(([name, fields]) => [`victim/${name}`, fields] as const)]);

beforeAll(() => execFileSync('mkdir', ['-m', '700', VICTIM]));
beforeEach(() => {
  writeFileSync(path.join(VICTIM, 'file'), 'untouched\n');
  before = machine();
});
afterAll(() => execFileSync('rm', ['-r', VICTIM]));

/** KiB, of this process and every berth-unpack, at their highest while `work` runs. */
async function watched(work: Promise<unknown>): Promise<{ berthd: number; unpacker: number }> {
  const peak = { berthd: 0, unpacker: 0 };
  const value = (pid: string | number, field: string): number => Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(readStatus(pid))?.[1] ?? 0);
  let done = false;
  const ended = work.finally(() => (done = true));
  ended.catch(() => undefined);
  const start = value(stage.daemon.pid, 'RssAnon');
  while (!done) {
    peak.berthd = Math.max(peak.berthd, value(stage.daemon.pid, 'RssAnon') - start);
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name) && /^Name:\s+berth-unpack/.test(readStatus(name)))) peak.unpacker = Math.max(peak.unpacker, value(pid, 'VmHWM'));
    await sleep(20);
  }
  await ended;
  return peak;
}

function readStatus(pid: string | number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8');
  } catch {
    return '';
  }
}

/** A finished layer of a pull that failed is kept for its retry. */
function partsIn(root: string): string[] {
  const below = (name: string): string[] => readdirSync(path.join(root, name)).map((entry) => path.join(root, name, entry));
  return [...below('trash'), ...below('staging').filter((directory) => !existsSync(path.join(directory, 'layer.json')))];
}

const pull = (repository: string): Promise<unknown> => stage.cri.call('PullImage', { image: { image: stage.ref(repository) } }, { timeoutMs: 110_000 });

test.each([
  ['entries', /more than 40000 entries, the limit set by images\.max_layer_entries/],
  ['gzip-bomb', /times its size, the limit set by images\.max_layer_ratio|2147483648 bytes when decompressed, the limit set by images\.max_layer_bytes/],
  ['zstd-bomb', /times its size, the limit set by images\.max_layer_ratio/],
  ['twice', /archive/],
  ['map', /too much memory/],
  ['climbs', /`\.\.` in it/],
  ['linked-out', /`\.\.` in it/],
  ['too-deep', /4095 bytes/],
])('%s: refused, and nothing of it is left', async (repository, message) => {
  const refusal = expectCode(pull(repository), 'INVALID_ARGUMENT', message);
  const { berthd, unpacker } = await watched(refusal);
  process.stdout.write(`${repository}: berth-unpack took ${unpacker} KiB at most, berthd ${berthd} KiB more than before\n`);
  expect(unpacker).toBeLessThan(UNPACKER_KIB);
  expect(berthd).toBeLessThan(BERTHD_GROWTH_KIB);
  expect((await stage.cri.call('ListImages', {})).images).toEqual([]);
  expect(differences(before, machine())).toEqual([]);
  await eventually('staging and trash hold no part of a layer', async () => (partsIn(stage.daemon.root).length === 0 ? true : undefined), 60_000);
}, 120_000);

test('what stays within is taken: deep directories, links to what the node has, devices that nobody can reach', async () => {
  for (const repository of ['deep', 'swapped', 'dangerous']) await pull(repository);
  expect(differences(before, machine())).toEqual([]);
  // On the node itself, nobody but root gets to a set-user-id program or a device that an image has brought.
  const layers = path.join(stage.daemon.root, 'layers/sha256');
  for (const name of readdirSync(layers)) expect([name, lstatSync(path.join(layers, name)).mode & 0o077]).toEqual([name, 0]);
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  const id = await kubelet.run(pod, { image: stage.ref('dangerous'), command: ['sleep', '1000'] });
  for (const device of ['disk', 'mem']) expect((await kubelet.exec(id, 'cat', `/dangerous/${device}`)).stderr).toMatch(/not permitted|denied/);
  await kubelet.removePod(pod);
  for (const repository of ['deep', 'swapped', 'dangerous']) await stage.cri.call('RemoveImage', { image: { image: stage.ref(repository) } });
});

test('a file system without a free inode is a full disk; what was made is gone, and the next pull succeeds', async () => {
  const { registry } = stage;
  const daemon = await prepareDaemon({ registries: { [registry.host]: registry.url }, logLevel: 'warn' });
  execFileSync('mount', ['-t', 'tmpfs', '-o', `nr_inodes=${TMPFS_INODES}`, 'berth-inodes', daemon.root]);
  try {
    await push(registry, 'many', 'latest', emptyFiles(TMPFS_INODES));
    await push(registry, 'few', 'latest', busybox());
    await daemon.start();
    const cri = connectCri(daemon.socket);
    await expectCode(cri.call('PullImage', { image: { image: stage.ref('many') } }), 'RESOURCE_EXHAUSTED', /No space left|ENOSPC/);
    await eventually('staging and trash hold no part of a layer', async () => (partsIn(daemon.root).length === 0 ? true : undefined), 60_000);
    expect((await cri.call('ListImages', {})).images).toEqual([]);
    await cri.call('PullImage', { image: { image: stage.ref('few') } });
    cri.close();
  } finally {
    await daemon.dispose();
  }
});
