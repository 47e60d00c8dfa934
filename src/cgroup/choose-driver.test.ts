import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { chooseDriver } from './choose-driver.ts';
import type { SystemdPlaces } from './choose-driver.ts';

let there: string;
let places: SystemdPlaces;
const unified = { mountPoint: '/sys/fs/cgroup' };

beforeAll(async () => {
  there = await mkdtemp(join(tmpdir(), 'berth-driver-'));
  places = { runtime: there, bus: there, pidNamespace: join(there, 'initial') };
  await symlink('pid:[4026531836]', join(there, 'initial'));
  await symlink('pid:[4026532000]', join(there, 'another'));
});
afterAll(() => rm(there, { recursive: true }));

test('systemd is found where it is the init, has the one tree and can be asked', async () => {
  const missing = join(there, 'missing');
  expect(await chooseDriver('auto', unified, places)).toBe('systemd');
  expect(await chooseDriver('systemd', unified, places)).toBe('systemd');
  expect(await chooseDriver('auto', unified, { ...places, runtime: missing })).toBe('cgroupfs');
  expect(await chooseDriver('auto', unified, { ...places, bus: missing })).toBe('cgroupfs');
  expect(await chooseDriver('auto', { mountPoint: '/sys/fs/cgroup/unified' }, places)).toBe('cgroupfs');
});

test('cgroupfs works everywhere', async () => {
  expect(await chooseDriver('cgroupfs', unified, places)).toBe('cgroupfs');
});

test('systemd that is asked for and cannot work is refused with why and what to do', async () => {
  const missing = join(there, 'missing');
  await expect(chooseDriver('systemd', unified, { ...places, runtime: missing })).rejects.toMatchObject({ code: 'HOST_UNSUITABLE', message: expect.stringMatching(/not the init.*use cgroupfs/) as string });
  await expect(chooseDriver('systemd', unified, { ...places, bus: missing })).rejects.toThrow(/no D-Bus/);
  await expect(chooseDriver('systemd', unified, { ...places, pidNamespace: join(there, 'another') })).rejects.toThrow(/PID namespace/);
  await expect(chooseDriver('systemd', { mountPoint: '/sys/fs/cgroup/unified' }, places)).rejects.toThrow(/version 1/);
});
