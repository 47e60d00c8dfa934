import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { chooseDriver } from './choose-driver.ts';

let there: string;
const unified = { mountPoint: '/sys/fs/cgroup' };

beforeAll(async () => {
  there = await mkdtemp(join(tmpdir(), 'berth-driver-'));
});
afterAll(() => rm(there, { recursive: true }));

test('systemd is found where it is the init, has the one tree and can be asked', async () => {
  const places = { runtime: there, bus: there };
  const missing = join(there, 'missing');
  expect(await chooseDriver('auto', unified, places)).toBe('systemd');
  expect(await chooseDriver('systemd', unified, places)).toBe('systemd');
  expect(await chooseDriver('auto', unified, { ...places, runtime: missing })).toBe('cgroupfs');
  expect(await chooseDriver('auto', unified, { ...places, bus: missing })).toBe('cgroupfs');
  expect(await chooseDriver('auto', { mountPoint: '/sys/fs/cgroup/unified' }, places)).toBe('cgroupfs');
});

test('cgroupfs works everywhere', async () => {
  expect(await chooseDriver('cgroupfs', unified, { runtime: there, bus: there })).toBe('cgroupfs');
});

test('systemd that is asked for and cannot work is refused with why and what to do', async () => {
  const missing = join(there, 'missing');
  const places = { runtime: there, bus: there };
  await expect(chooseDriver('systemd', unified, { ...places, runtime: missing })).rejects.toMatchObject({ code: 'HOST_UNSUITABLE', message: expect.stringMatching(/not the init.*use cgroupfs/) as string });
  await expect(chooseDriver('systemd', unified, { ...places, bus: missing })).rejects.toThrow(/no D-Bus/);
  await expect(chooseDriver('systemd', { mountPoint: '/sys/fs/cgroup/unified' }, places)).rejects.toThrow(/version 1/);
});
