import { expect, test } from 'vitest';
import { containerDevices } from './devices.ts';

const device = (changes = {}) => ({ container_path: '', host_path: '/dev/null', permissions: '', ...changes });

test('nothing asked for: nothing made, and all but the standard nodes denied', async () => {
  const { devices, rules } = await containerDevices([], false);
  expect(devices).toEqual([]);
  expect(rules[0]).toEqual({ allow: false, access: 'rwm' });
  expect(rules).toContainEqual({ allow: true, type: 'c', major: 1, minor: 3, access: 'rwm' });
  expect(rules.filter(({ allow, access, major }) => allow && access !== 'm' && major === undefined)).toEqual([]);
});

test('a device has its numbers and its place, and a rule of its own', async () => {
  const { devices, rules } = await containerDevices([device({ container_path: '/dev/hole', permissions: 'rw' })], false);
  expect(devices).toEqual([{ path: '/dev/hole', type: 'c', major: 1, minor: 3, fileMode: 0o666, uid: 0, gid: 0 }]);
  expect(rules.at(-1)).toEqual({ allow: true, type: 'c', major: 1, minor: 3, access: 'rw' });
  expect((await containerDevices([device()], false)).devices[0]?.path).toBe('/dev/null');
});

test('a privileged container has the node\'s devices, but not its console, terminals and shared memory', async () => {
  const { devices, rules } = await containerDevices([], true);
  const paths = devices.map(({ path }) => path);
  expect(paths).toContain('/dev/null');
  expect(paths.filter((path) => /^\/dev\/(console|ptmx|pts\/|shm\/|mqueue\/)/.test(path))).toEqual([]);
  expect(rules).toEqual([{ allow: true, access: 'rwm' }]);
});

test.each([
  [device({ host_path: '/dev/no-such-device' }), 'host_path'],
  [device({ host_path: '/etc/hostname' }), 'host_path'],
  [device({ container_path: 'null' }), 'container_path'],
  [device({ permissions: 'rx' }), 'permissions'],
  [device({ permissions: 'rr' }), 'permissions'],
])('%j is refused', async (given, field) => {
  await expect(containerDevices([given], false)).rejects.toMatchObject({ code: 'INVALID_FIELD', message: expect.stringContaining(`config.devices[0].${field}`) as string });
});
