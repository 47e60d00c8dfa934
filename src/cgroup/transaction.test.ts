import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { inSafeOrder, replaceLimits } from './transaction.ts';

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'berth-limits-'));
});

afterEach(async () => {
  await rm(directory, { recursive: true });
});

/** Plain files are not truncated by a write, so values of one length stand for the kernel's. */
async function have(files: Readonly<Record<string, string>>): Promise<void> {
  await Promise.all(Object.entries(files).map(([file, value]) => writeFile(join(directory, file), value)));
}

const held = (file: string) => readFile(join(directory, file), 'utf8');

test('writes every value, and puts every value back when asked', async () => {
  await have({ 'memory.max': '100', 'cpu.max': '20000 100000' });
  const undo = await replaceLimits(directory, [{ file: 'memory.max', value: '200' }, { file: 'cpu.max', value: '30000 100000' }]);
  expect([await held('memory.max'), await held('cpu.max')]).toEqual(['200', '30000 100000']);
  await undo();
  expect([await held('memory.max'), await held('cpu.max')]).toEqual(['100', '20000 100000']);
});

test('one write that fails leaves every file as it was, and is named', async () => {
  await have({ 'memory.max': '100', 'cpu.max': '20000 100000' });
  // Readable, and words are refused by the kernel with EINVAL: this very process's, no matter what becomes of it.
  await symlink('/proc/self/oom_score_adj', join(directory, 'pids.max'));
  const failed = replaceLimits(directory, [
    { file: 'memory.max', value: '200' },
    { file: 'cpu.max', value: '30000 100000' },
    { file: 'pids.max', value: 'no number' },
  ]);
  await expect(failed).rejects.toMatchObject({ code: 'LIMIT_REFUSED', message: expect.stringMatching(/"no number" to pids\.max.*EINVAL/) as string });
  expect([await held('memory.max'), await held('cpu.max')]).toEqual(['100', '20000 100000']);
});

test('a file that the kernel does not have stops it before anything is written', async () => {
  await have({ 'memory.max': '100' });
  const failed = replaceLimits(directory, [{ file: 'memory.max', value: '200' }, { file: 'memory.high', value: '1' }]);
  await expect(failed).rejects.toMatchObject({ code: 'LIMIT_REFUSED', message: expect.stringContaining('read memory.high') as string });
  expect(await held('memory.max')).toBe('100');
});

test('a cgroup that is gone is not the request\'s fault', async () => {
  const failed = replaceLimits(join(directory, 'gone'), [{ file: 'memory.max', value: '1' }]);
  await expect(failed).rejects.toMatchObject({ code: 'CGROUP_FAILED' });
});

test('an optional file that is not there is passed over, also on the way back', async () => {
  await have({ 'memory.max': '100' });
  const undo = await replaceLimits(directory, [{ file: 'memory.swap.max', value: '0', optional: true }, { file: 'memory.max', value: '300' }]);
  expect(await held('memory.max')).toBe('300');
  await undo();
  await expect(held('memory.swap.max')).rejects.toThrow('ENOENT');
});

test('a memory limit below what is in use is refused with the usage, before anything is written', async () => {
  await have({ 'memory.max': '9000', 'memory.current': '5000\n', 'cpu.weight': '100' });
  const failed = replaceLimits(directory, [{ file: 'cpu.weight', value: '200' }, { file: 'memory.max', value: '4999' }]);
  await expect(failed).rejects.toMatchObject({ code: 'LIMIT_BELOW_USAGE', message: expect.stringContaining('usage of 5000') as string });
  expect([await held('cpu.weight'), await held('memory.max')]).toEqual(['100', '9000']);
  await replaceLimits(directory, [{ file: 'memory.max', value: '5000' }]);
  await replaceLimits(directory, [{ file: 'memory.max', value: 'max ' }]);
});

test('of two values for one file the last counts', async () => {
  await have({ 'memory.max': '100' });
  await replaceLimits(directory, [{ file: 'memory.max', value: '200' }, { file: 'memory.max', value: '300' }]);
  expect(await held('memory.max')).toBe('300');
});

test('what grows is written before what shrinks, and a smaller memory limit last', () => {
  const change = (file: string, before: string, value: string) => ({ file, before, value });
  const ordered = inSafeOrder([
    change('memory.max', '900', '300'),
    change('cpu.max', '900 1000', '400 1000'),
    change('cpuset.cpus', '', '0-1'),
    change('cpu.max.burst', '500', '200'),
    change('memory.swap.max', '100', 'max'),
    change('pids.max', 'max', '10'),
  ]);
  expect(ordered.map(({ file }) => file)).toEqual(['cpuset.cpus', 'memory.swap.max', 'pids.max', 'cpu.max.burst', 'cpu.max', 'memory.max']);
});

test('a device without a line in io.max before has no limit again afterwards', async () => {
  await have({ 'io.max': '8:0 rbps=1000 wbps=max riops=max wiops=max' });
  const undo = await replaceLimits(directory, [{ file: 'io.max', value: '8:0 rbps=5000\n8:16 wbps=1' }]);
  await undo();
  // A plain file keeps the last line alone.
  expect(await held('io.max')).toMatch(/^8:16 rbps=max wbps=max riops=max wiops=max/);
});
