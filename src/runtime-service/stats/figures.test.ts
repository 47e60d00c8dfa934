import { link, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execFileSync } from 'node:child_process';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { CgroupReading } from '../../cgroup/readings.ts';
import { CpuWindows } from './cpu-window.ts';
import { diskUsage, writtenBy } from './disk-usage.ts';
import { mountSource } from './file-system.ts';
import { interfacesOf, networkUsage, parseNetDev } from './network.ts';
import { mapInSlices } from './slices.ts';
import { cpuUsage, ioUsage, memoryUsage, nanosOfMicros, swapUsage } from './usage.ts';

const second = 1_000_000_000n;
const signal = new AbortController().signal;

describe('CPU use over a window', () => {
  test('is the growth since the last reading that is at least a second old', () => {
    const windows = new CpuWindows();
    expect(windows.observe('a', 1_000_000, 100n * second, undefined)).toBeUndefined();
    expect(windows.observe('a', 1_500_000, 101n * second, undefined)).toBe(500_000_000);
    // Asked again at once: the same answer, not the noise of a few milliseconds.
    expect(windows.observe('a', 1_501_000, 101n * second + 5_000_000n, undefined)).toBe(500_000_000);
    expect(windows.observe('a', 5_500_000, 103n * second, undefined)).toBe(2_000_000_000);
  });

  test('of a young container is the average since its start', () => {
    const windows = new CpuWindows();
    expect(windows.observe('a', 1_000_000, 12n * second, 10n * second)).toBe(500_000_000);
    expect(windows.observe('old', 1_000_000, 100n * second, 10n * second)).toBeUndefined();
  });

  test('is not known after the counter went back, and forgotten with the object', () => {
    const windows = new CpuWindows();
    windows.observe('a', 1_000_000, 1n * second, undefined);
    expect(windows.observe('a', 10, 3n * second, undefined)).toBeUndefined();
    windows.retain(new Set());
    expect(windows.observe('a', 20, 5n * second, undefined)).toBeUndefined();
  });
});

describe('what a tree takes on the disk', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'berth-disk-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  test('is what du counts: blocks, hard links once, symbolic links not followed', async () => {
    await mkdir(join(directory, 'a/b'), { recursive: true });
    await writeFile(join(directory, 'a/big'), Buffer.alloc(300_000, 1));
    await link(join(directory, 'a/big'), join(directory, 'a/b/same'));
    await symlink('/usr', join(directory, 'a/away'));
    await writeFile(join(directory, 'empty'), '');
    const du = (flag: string): number => Number(execFileSync('du', ['-s', ...flag.split(' '), directory], { encoding: 'utf8' }).split('\t')[0]);
    expect(await diskUsage(directory, signal)).toEqual({ bytes: du('-B1'), inodes: du('--inodes') });
  });

  test('of a container: its root and the volumes beside it, which it need not have', async () => {
    await mkdir(join(directory, 'upper'));
    await writeFile(join(directory, 'upper/x'), Buffer.alloc(10_000, 1));
    const root = await diskUsage(join(directory, 'upper'), signal);
    expect(await writtenBy(join(directory, 'upper'), signal)).toEqual(root);
    await mkdir(join(directory, 'volumes/0'), { recursive: true });
    await writeFile(join(directory, 'volumes/0/x'), Buffer.alloc(50_000, 1));
    const volumes = await diskUsage(join(directory, 'volumes'), signal);
    expect(await writtenBy(join(directory, 'upper'), signal)).toEqual({ bytes: (root?.bytes ?? 0) + (volumes?.bytes ?? 0), inodes: 2 + 3 });
    expect(await writtenBy(join(directory, 'gone/upper'), signal)).toBeUndefined();
  });

  test('is not known of a tree that is not there, and can be broken off', async () => {
    expect(await diskUsage(join(directory, 'gone'), signal)).toBeUndefined();
    await writeFile(join(directory, 'x'), '');
    await expect(diskUsage(directory, AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough');
  });
});

describe('network', () => {
  const text = 'Inter-|   Receive                                                |  Transmit\n'
    + ' face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n'
    + '    lo:      84       1    0    0    0     0          0         0       84       1    0    0    0     0       0          0\n'
    + '  net1: 5 6 7 8 0 0 0 0 9 10 11 12 0 0 0 0\n'
    + '  eth0:18446744073709551615 2 3 4 0 0 0 0 21 22 23 24 0 0 0 0\n';

  test('/proc/PID/net/dev is read in whatever spacing, without losing digits', () => {
    expect(parseNetDev(text).map(({ name, rxBytes, rxErrors, txBytes, txErrors, txDropped }) => [name, rxBytes, rxErrors, txBytes, txErrors, txDropped])).toEqual([
      ['lo', '84', '0', '84', '0', '0'],
      ['net1', '5', '7', '9', '11', '12'],
      ['eth0', '18446744073709551615', '3', '21', '23', '24'],
    ]);
  });

  test('eth0 is the default, wherever it stands; a pod without interfaces has none', () => {
    expect(networkUsage(parseNetDev(text), '5')).toMatchObject({
      timestamp: '5', default_interface: { name: 'eth0', rx_errors: { value: '3' }, tx_errors: { value: '23' } },
    });
    expect(networkUsage([], '5')).toEqual({ timestamp: '5', default_interface: null, interfaces: [] });
  });

  test('of a process that is gone nothing is known', () => {
    expect(interfacesOf(2 ** 30)).toBeUndefined();
  });
});

describe('as the CRI counts', () => {
  const nothing: CgroupReading = { cpu: undefined, memory: undefined, swap: undefined, pressure: { cpu: undefined, memory: undefined, io: undefined } };
  const memory = {
    usage: 100, limit: 150, anonymous: 40, file: 50, activeFile: 10, inactiveFile: 30, mappedFile: 1, kernel: 5, pageFaults: 7, majorPageFaults: 2,
  };
  const processes = { anonymous: 10, mapped: 5, swap: 3, kernel: 1, peak: 20, minorFaults: 6, majorFaults: 1 };

  test('what the kernel did not say is null', () => {
    expect([cpuUsage(nothing, 5, '1'), memoryUsage(nothing, undefined, '1'), swapUsage(nothing, undefined, '1'), ioUsage(nothing, '1')])
      .toEqual([null, null, null, null]);
  });

  test('the working set is what is used without the inactive page cache', () => {
    expect(memoryUsage({ ...nothing, memory }, undefined, '1')).toMatchObject({
      working_set_bytes: { value: '70' }, available_bytes: { value: '80' }, usage_bytes: { value: '100' }, rss_bytes: { value: '40' },
      page_faults: { value: '7' }, major_page_faults: { value: '2' }, psi: null,
    });
    expect(memoryUsage({ ...nothing, memory: { ...memory, inactiveFile: 200, limit: undefined } }, undefined, '1'))
      .toMatchObject({ working_set_bytes: { value: '0' }, available_bytes: null });
  });

  test('without the memory controller it is what the processes have in memory', () => {
    expect(memoryUsage(nothing, processes, '1')).toMatchObject({
      working_set_bytes: { value: '15' }, available_bytes: null, rss_bytes: { value: '10' }, page_faults: { value: '7' }, major_page_faults: { value: '1' },
    });
    expect(swapUsage(nothing, processes, '1')).toMatchObject({ swap_usage_bytes: { value: '3' }, swap_available_bytes: null });
  });

  test('microseconds become nanoseconds without losing digits', () => {
    expect([nanosOfMicros(0), nanosOfMicros(9_007_199_254_740_991)]).toEqual(['0', '9007199254740991000']);
  });
});

test('a file system is named by the last mount above a path', () => {
  const mountinfo = '1 0 8:1 / / rw - ext4 /dev/root rw\n2 1 8:2 / /var/lib rw - xfs /dev/sdb rw\n3 1 8:3 / /var/lib rw - btrfs /dev/sdc rw\n4 1 8:4 / /var/library rw - ext4 /dev/no rw\n';
  expect(['/var/lib/berth', '/var/libx', '/var/library'].map((path) => mountSource(mountinfo, path))).toEqual(['/dev/sdc', '/dev/root', '/dev/no']);
});

test('a long list gives others their turn, in order, and ends when nobody wants it any more', async () => {
  const stop = new AbortController();
  const busy = (until: number): void => {
    while (performance.now() < until);
  };
  let turns = 0;
  const timer = setInterval(() => (turns += 1), 1);
  const results = await mapInSlices([1, 2, 3, 4], signal, (item) => {
    busy(performance.now() + 6);
    return item * 2;
  });
  clearInterval(timer);
  expect(results).toEqual([2, 4, 6, 8]);
  expect(turns).toBeGreaterThan(0);
  stop.abort(new Error('gone'));
  await expect(mapInSlices([1], stop.signal, () => busy(performance.now() + 6))).rejects.toThrow('gone');
});
