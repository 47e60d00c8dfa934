import { expect, test } from 'vitest';
import { mount } from '../testing/requests.ts';
import { containerMounts, rootPropagation } from './mounts.ts';

const context = { privileged: false, readonlyRoot: false, hosts: '/s/hosts', hostname: '/s/hostname', resolvConf: '/s/resolv.conf', shm: '/s/shm', idMaps: null, images: new Map(), empty: '/s/empty', volumes: [] };
const mounts = (requested: Parameters<typeof mount>[0][], changes = {}) => containerMounts(requested.map(mount), { ...context, ...changes });
const at = (list: ReturnType<typeof mounts>, destination: string) => list.filter((entry) => entry.destination === destination);

test('the base is what every container has, parents first', () => {
  expect(mounts([]).map(({ destination }) => destination)).toEqual([
    '/proc', '/dev', '/sys', '/dev/pts', '/dev/mqueue', '/dev/shm', '/etc/hosts', '/etc/hostname', '/etc/resolv.conf', '/sys/fs/cgroup',
  ]);
  expect(at(mounts([]), '/sys')[0]?.options).toContain('ro');
  expect(at(mounts([], { privileged: true }), '/sys')[0]?.options).toContain('rw');
  expect(at(mounts([]), '/etc/hosts')[0]).toMatchObject({ source: '/s/hosts', options: ['rbind', 'rprivate', 'rw'] });
  expect(at(mounts([], { readonlyRoot: true }), '/etc/hosts')[0]?.options).toContain('ro');
});

test('a mount of the request replaces one of ours, under whatever spelling; the later of two wins', () => {
  const list = mounts([{ container_path: '//etc/./hosts/', host_path: '/h' }, { container_path: '/data', host_path: '/1' }, { container_path: '/x/../data', host_path: '/2' }]);
  expect(at(list, '/etc/hosts').map(({ source }) => source)).toEqual(['/h']);
  expect(at(list, '/data').map(({ source }) => source)).toEqual(['/2']);
});

test('parents come before children, in whatever order they are asked for', () => {
  const list = mounts([{ container_path: '/a/b/c' }, { container_path: '/a' }, { container_path: '/a/b' }]).map(({ destination }) => destination);
  expect(list.filter((path) => path.startsWith('/a'))).toEqual(['/a', '/a/b', '/a/b/c']);
});

test('a /dev of the request comes with what is below it, and what else is asked for below it', () => {
  const list = mounts([{ container_path: '/dev/', host_path: '/dev' }, { container_path: '/dev/extra' }]).map(({ destination }) => destination);
  expect(list.filter((path) => path.startsWith('/dev'))).toEqual(['/dev', '/dev/extra']);
});

test.each<[Parameters<typeof mount>[0], string[]]>([
  [{}, ['rbind', 'rprivate', 'rw']],
  [{ readonly: true }, ['rbind', 'rprivate', 'ro']],
  [{ readonly: true, recursive_read_only: true }, ['rbind', 'rprivate', 'rro']],
  [{ propagation: 'PROPAGATION_HOST_TO_CONTAINER' }, ['rbind', 'rslave', 'rw']],
  [{ propagation: 'PROPAGATION_BIDIRECTIONAL' }, ['rbind', 'rshared', 'rw']],
  [{ readonly: true, mount_options: ['noexec', 'nosuid'] }, ['rbind', 'rprivate', 'noexec', 'nosuid', 'ro']],
])('%j is mounted with %j', (changes, options) => {
  expect(at(mounts([changes]), '/data')[0]).toEqual({ destination: '/data', type: 'bind', source: '/srv/data', options });
});

test('the root lets through what the mounts need', () => {
  expect(rootPropagation([])).toBe('rprivate');
  expect(rootPropagation([mount({ propagation: 'PROPAGATION_HOST_TO_CONTAINER' })])).toBe('rslave');
  expect(rootPropagation([mount({ propagation: 'PROPAGATION_HOST_TO_CONTAINER' }), mount({ propagation: 'PROPAGATION_BIDIRECTIONAL' })])).toBe('rshared');
});

test.each<[Parameters<typeof mount>[0], string, string]>([
  [{ container_path: 'relative' }, 'INVALID_FIELD', 'container_path'],
  [{ container_path: '' }, 'INVALID_FIELD', 'container_path'],
  [{ container_path: '/' }, 'INVALID_FIELD', 'container_path'],
  [{ container_path: '/a/../..' }, 'INVALID_FIELD', 'container_path'],
  [{ host_path: 'relative' }, 'INVALID_FIELD', 'host_path'],
  [{ host_path: '' }, 'INVALID_FIELD', 'host_path'],
  [{ recursive_read_only: true }, 'INVALID_FIELD', 'recursive_read_only'],
  [{ recursive_read_only: true, readonly: true, propagation: 'PROPAGATION_HOST_TO_CONTAINER' }, 'INVALID_FIELD', 'recursive_read_only'],
  [{ uidMappings: [{ host_id: 1, container_id: 0, length: 1 }] }, 'INVALID_FIELD', 'gidMappings'],
  [{ mount_options: ['nosuid', 'x'] }, 'INVALID_FIELD', 'mount_options[1]'],
  [{ mount_options: ['rw'] }, 'INVALID_FIELD', 'mount_options[0]'],
  [{ mount_options: ['rshared'] }, 'INVALID_FIELD', 'mount_options[0]'],
])('%j is refused', (changes, code, field) => {
  expect(() => mounts([{}, changes])).toThrow(expect.objectContaining({ code, message: expect.stringContaining(`config.mounts[1].${field}`) as string }));
});

const idMaps = { uids: [{ containerID: 0, hostID: 65_536, size: 65_536 }], gids: [{ containerID: 0, hostID: 65_536, size: 65_536 }] };
const mapping = [{ container_id: 0, host_id: 65_536, length: 65_536 }];
const asOci = { uidMappings: idMaps.uids, gidMappings: idMaps.gids };

test('in a user namespace the pod\'s files have the container\'s owner, and volumes what the request says', () => {
  const list = mounts([{}, { container_path: '/mapped', uidMappings: mapping, gidMappings: mapping }], { idMaps });
  expect(at(list, '/etc/hosts')[0]).toMatchObject(asOci);
  expect(at(list, '/etc/resolv.conf')[0]).toMatchObject(asOci);
  expect(at(list, '/mapped')[0]).toMatchObject({ ...asOci, options: ['rbind', 'rprivate', 'rw', 'ridmap'] });
  expect(at(list, '/data')[0]).not.toHaveProperty('uidMappings');
});

test('a pod with a user namespace shares no mounts with the node', () => {
  expect(() => mounts([{ propagation: 'PROPAGATION_BIDIRECTIONAL' }], { idMaps })).toThrow(
    expect.objectContaining({ code: 'INVALID_FIELD', message: expect.stringContaining('config.mounts[0].propagation') as string }),
  );
});
