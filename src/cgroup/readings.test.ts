import { mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CgroupFiles, DescriptorBudget } from './kernel-file.ts';
import { keyedValue, parseIoStat, parseNumbers, parsePressure, singleValue } from './readings-parse.ts';
import { processesOf, processMemory, threadsOf } from './readings-processes.ts';
import { readCgroup, readCgroupDetail } from './readings.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'berth-readings-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

function put(files: Readonly<Record<string, string>>, below = ''): void {
  mkdirSync(join(directory, below), { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, below, name), text);
}

/** Of the test's directory: other tests run in threads beside this one. */
const openFiles = (): number => readdirSync('/proc/self/fd').filter((fd) => targetOf(fd).startsWith(`${directory}/`)).length;

function targetOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return '';
  }
}

describe('a cgroup with all controllers', () => {
  const files = {
    'cpu.stat': 'usage_usec 5000001\nuser_usec 3000000\nsystem_usec 2000001\nnr_periods 10\nnr_throttled 3\nthrottled_usec 250000\n',
    'memory.current': '104857600\n',
    'memory.max': '209715200\n',
    'memory.stat': 'anon 41943040\nfile 52428800\nkernel 1048576\nkernel_stack 16384\nfile_mapped 4096\ninactive_anon 0\n'
      + 'active_file 10485760\ninactive_file 20971520\npgfault 1234\npgmajfault 5\n',
    'memory.swap.current': '8192\n',
    'memory.swap.max': 'max\n',
    'cpu.pressure': 'some avg10=1.50 avg60=0.25 avg300=0.01 total=123456\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n',
    'memory.peak': '120000000\n',
    'memory.events': 'low 0\nhigh 0\nmax 7\noom 2\noom_kill 1\n',
    'io.stat': '8:0 rbytes=4096 wbytes=18446744073709551615 rios=1 wios=2 dbytes=0 dios=0\n7:0 \n',
    'pids.max': 'max\n',
    'hugetlb.2MB.current': '2097152\n',
  };

  test('is read exactly', () => {
    put(files);
    const reading = readCgroup(new CgroupFiles(directory, new DescriptorBudget(0)));
    expect(reading).toEqual({
      cpu: {
        usageMicroseconds: 5000001, userMicroseconds: 3000000, systemMicroseconds: 2000001,
        throttling: { periods: 10, throttledPeriods: 3, throttledMicroseconds: 250000 },
      },
      memory: {
        usage: 104857600, limit: 209715200, anonymous: 41943040, file: 52428800, activeFile: 10485760, inactiveFile: 20971520,
        mappedFile: 4096, kernel: 1048576, pageFaults: 1234, majorPageFaults: 5,
      },
      swap: { usage: 8192, limit: undefined },
      pressure: {
        cpu: {
          some: { average10: 1.5, average60: 0.25, average300: 0.01, totalMicroseconds: 123456 },
          full: { average10: 0, average60: 0, average300: 0, totalMicroseconds: 0 },
        },
        memory: undefined,
        io: undefined,
      },
    });
  });

  test('in detail, too, with numbers beyond 2^53 whole', () => {
    put(files);
    expect(readCgroupDetail(directory)).toEqual({
      memoryPeak: 120000000,
      memoryEvents: { max: 7, oomKill: 1 },
      devices: [{ major: '8', minor: '0', readBytes: '4096', writeBytes: '18446744073709551615', reads: '1', writes: '2' }],
      pidsLimit: undefined,
      hugepages: [{ pageSize: '2MB', usage: 2097152 }],
    });
  });
});

test('of a cgroup that is gone nothing is told, and nothing is made up', () => {
  const files = new CgroupFiles(join(directory, 'gone'), new DescriptorBudget(10));
  expect(readCgroup(files)).toEqual({ cpu: undefined, memory: undefined, swap: undefined, pressure: { cpu: undefined, memory: undefined, io: undefined } });
  expect(processesOf(files)).toEqual([]);
});

describe('descriptors', () => {
  const budget = new DescriptorBudget(2);

  test('are kept open within the budget, read anew each time, and given back', () => {
    put({ a: 'one', b: 'two', c: 'three' });
    const files = new CgroupFiles(directory, budget);
    expect(['a', 'b', 'c'].map((name) => files.read(name))).toEqual(['one', 'two', 'three']);
    expect(openFiles()).toBe(2);
    expect(budget.left).toBe(0);
    put({ a: 'changed', c: 'changed too' });
    expect(['a', 'b', 'c'].map((name) => files.read(name))).toEqual(['changed', 'two', 'changed too']);
    files.close();
    expect(openFiles()).toBe(0);
    expect(budget.left).toBe(2);
    expect(files.read('a')).toBe('changed');
    expect(openFiles()).toBe(0);
  });
});

test('processes and threads are those of the cgroup and of all below it', () => {
  put({ 'cgroup.procs': '10\n11\n', 'cgroup.threads': '10\n11\n12\n', 'cgroup.stat': 'nr_descendants 2\nnr_dying_descendants 0\n' });
  put({ 'cgroup.procs': '20\n', 'cgroup.threads': '20\n21\n' }, 'exec-1');
  put({ 'cgroup.procs': '30\n', 'cgroup.threads': '30\n' }, 'exec-1/deeper');
  const files = new CgroupFiles(directory, new DescriptorBudget(0));
  expect(processesOf(files)).toEqual([10, 11, 20, 30]);
  expect(threadsOf(files)).toEqual([10, 11, 12, 20, 21, 30]);
});

test('memory of processes is the sum of what /proc tells, whatever they are called, without those that are gone', () => {
  const status = (anonymous: number): string =>
    `Name:\tx\nVmHWM:\t    2000 kB\nVmRSS:\t 1500 kB\nRssAnon:\t    ${anonymous} kB\nRssFile:\t 500 kB\nRssShmem:\t 24 kB\nVmPTE:\t 40 kB\nVmSwap:\t 8 kB\nThreads:\t3\n`;
  put({ status: status(1000), stat: '1 (a b) c) R 0 1 1 0 -1 4194304 100 20 3 4 5 6' }, '1');
  put({ status: status(50), stat: '2 (sh) S 1 1 1 0 -1 4194304 1 0 0 0 5 6' }, '2');
  expect(processMemory([1, 2, 3], directory)).toEqual({
    anonymous: 1050 * 1024, mapped: 2 * 524 * 1024, swap: 16 * 1024, kernel: 2 * (40 * 1024 + 3 * 16384), peak: 4000 * 1024,
    minorFaults: 121, majorFaults: 7,
  });
});

describe('formats', () => {
  test('a key is matched whole', () => {
    expect(keyedValue('file_mapped 1\nfile 2\nxfile 3\n', 'file')).toBe(2);
    expect(keyedValue('file 2', 'file')).toBe(2);
    expect(keyedValue('file_mapped 1\n', 'file')).toBeUndefined();
    expect(keyedValue('file max\n', 'file')).toBeUndefined();
  });

  test('single values and lists', () => {
    expect([singleValue('12\n'), singleValue('max\n'), singleValue(undefined)]).toEqual([12, undefined, undefined]);
    expect([parseNumbers('1\n22\n'), parseNumbers(''), parseNumbers(undefined)]).toEqual([[1, 22], [], []]);
  });

  test('io.stat without figures', () => {
    expect([parseIoStat(''), parseIoStat(undefined)]).toEqual([[], undefined]);
  });

  test.each(['', 'some avg10=x\n', 'some \n', 'none avg10=0.00 avg60=0.00 avg300=0.00 total=0\n'])('%j is no pressure', (text) => {
    expect(parsePressure(text)).toBeUndefined();
  });

  test('the cpu pressure of old kernels has no full line', () => {
    expect(parsePressure('some avg10=0.00 avg60=0.00 avg300=0.00 total=9')).toEqual({
      some: { average10: 0, average60: 0, average300: 0, totalMicroseconds: 9 }, full: undefined,
    });
  });
});
