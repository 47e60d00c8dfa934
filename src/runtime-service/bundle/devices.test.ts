import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import type { CdiDeviceNode } from '../../cdi/edits.ts';
import { containerDevices } from './devices.ts';
import type { DeviceSources } from './devices.ts';

const device = (changes = {}) => ({ container_path: '', host_path: '/dev/null', permissions: '', ...changes });
const devicesOf = (changes: Partial<DeviceSources> = {}) =>
  containerDevices({ requested: [], cdiNodes: [], allOfNode: false, owner: { uid: 0, gid: 0 }, ...changes });
const cdi = (changes: Partial<CdiDeviceNode> = {}): CdiDeviceNode => ({
  path: '/dev/x', hostPath: '/dev/null', type: undefined, major: 0, minor: 0, fileMode: undefined, uid: undefined, gid: undefined, permissions: '', ...changes,
});

test('nothing asked for: nothing made, and all but the standard nodes denied', async () => {
  const { devices, rules } = await devicesOf();
  expect(devices).toEqual([]);
  expect(rules[0]).toEqual({ allow: false, access: 'rwm' });
  expect(rules).toContainEqual({ allow: true, type: 'c', major: 1, minor: 3, access: 'rwm' });
  expect(rules.filter(({ allow, access, major }) => allow && access !== 'm' && major === undefined)).toEqual([]);
});

test('a device has its numbers and its place, and a rule of its own', async () => {
  const { devices, rules } = await devicesOf({ requested: [device({ container_path: '/dev/./a/../hole/', permissions: 'rw' })] });
  expect(devices).toEqual([{ path: '/dev/hole', type: 'c', major: 1, minor: 3, fileMode: 0o666, uid: 0, gid: 0 }]);
  expect(rules.at(-1)).toEqual({ allow: true, type: 'c', major: 1, minor: 3, access: 'rw' });
  expect((await devicesOf({ requested: [device()] })).devices[0]?.path).toBe('/dev/null');
});

test('a privileged container has the node\'s devices, but not its console, terminals and shared memory, and what it lists', async () => {
  const { devices, rules } = await devicesOf({ allOfNode: true, requested: [device({ container_path: '/dev/hole' })] });
  const paths = devices.map(({ path }) => path);
  expect(paths).toContain('/dev/null');
  expect(paths).toContain('/dev/hole');
  expect(paths.filter((path) => /^\/dev\/(console|ptmx|pts\/|shm\/|mqueue\/)/.test(path))).toEqual([]);
  expect(rules).toEqual([{ allow: true, access: 'rwm' }]);
});

test('a directory stands for the devices below it', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'berth-devices-'));
  try {
    const refused = { requested: [device({ host_path: directory, container_path: '/dev/all' })] };
    await expect(devicesOf(refused)).rejects.toMatchObject({ message: expect.stringContaining('config.devices[0].host_path') as string });
    execFileSync('mkdir', ['-p', join(directory, 'deep/er'), join(directory, 'shm')]);
    // Only root makes devices; without that there is nothing to be found here.
    if (process.getuid?.() !== 0) return;
    for (const place of ['deep/er/zero', 'shm/zero']) execFileSync('mknod', [join(directory, place), 'c', '1', '5']);
    const { devices } = await devicesOf({ requested: [device({ host_path: directory, container_path: '/dev/all', permissions: 'r' })] });
    expect(devices.map(({ path, minor }) => [path, minor])).toEqual([['/dev/all/deep/er/zero', 5]]);
  } finally {
    await rm(directory, { recursive: true });
  }
});

test.each([
  [device({ host_path: '/dev/no-such-device' }), 'host_path'],
  [device({ host_path: '/etc/hostname' }), 'host_path'],
  [device({ host_path: 'dev/null', container_path: '/dev/x' }), 'host_path'],
  [device({ host_path: '' }), 'host_path'],
  [device({ container_path: 'null' }), 'container_path'],
  [device({ container_path: '/' }), 'container_path'],
  [device({ container_path: '/dev/..' }), 'container_path'],
  [device({ container_path: `/${'a'.repeat(256)}` }), 'container_path'],
  [device({ container_path: '/a'.repeat(2048) }), 'container_path'],
  [device({ permissions: 'rx' }), 'permissions'],
  [device({ permissions: 'rr' }), 'permissions'],
  [device({ permissions: 'rw\n' }), 'permissions'],
])('%j is refused', async (given, field) => {
  await expect(devicesOf({ requested: [given] })).rejects.toMatchObject({ code: 'INVALID_FIELD', message: expect.stringContaining(`config.devices[0].${field}`) as string });
});

test.each([
  ['all from the node', cdi(), { type: 'c', major: 1, minor: 3, fileMode: 0o666, uid: 7, gid: 8 }, 'rwm'],
  ['what the spec says', cdi({ type: 'b', major: 9, minor: 4, fileMode: 0o600, uid: 1, gid: 2, permissions: 'rrw', hostPath: '/none' }), { type: 'b', major: 9, minor: 4, fileMode: 0o600, uid: 1, gid: 2 }, 'rw'],
  ['the mode of the node for numbers of the spec', cdi({ type: 'c', major: 1, minor: 5 }), { type: 'c', major: 1, minor: 5, fileMode: 0o666, uid: 7, gid: 8 }, 'rwm'],
])('a CDI node has %s', async (_, node, expected, access) => {
  const { devices, rules } = await devicesOf({ cdiNodes: [node], owner: { uid: 7, gid: 8 }, requested: [device({ container_path: '/dev/x' })] });
  expect(devices).toEqual([{ path: '/dev/x', ...expected }]);
  expect(rules.at(-1)).toEqual({ allow: true, type: expected.type, major: expected.major, minor: expected.minor, access });
});

test('a FIFO of a CDI spec needs no rule', async () => {
  const { devices, rules } = await devicesOf({ cdiNodes: [cdi({ type: 'p', hostPath: '/none' })] });
  expect(devices).toMatchObject([{ path: '/dev/x', type: 'p', major: 0, minor: 0 }]);
  expect(rules).toHaveLength((await devicesOf()).rules.length);
});

test.each([
  ['is not there', cdi({ hostPath: '/dev/no-such-device' })],
  ['is no device', cdi({ hostPath: '/etc/hostname' })],
  ['is of another type', cdi({ type: 'b' })],
])('a CDI node that %s is the node\'s fault', async (_, node) => {
  await expect(devicesOf({ cdiNodes: [node] })).rejects.toMatchObject({ code: 'HOST_UNSUITABLE', message: expect.stringContaining('/dev/x') as string });
});
