import { expect, test } from 'vitest';
import { mount } from '../testing/requests.ts';
import { containerMounts, rootPropagation } from './mounts.ts';

const context = { privileged: false, readonlyRoot: false, hosts: '/s/hosts', hostname: '/s/hostname', resolvConf: '/s/resolv.conf', shm: '/s/shm', images: new Map(), empty: '/s/empty', volumes: [] };
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
  [{ uidMappings: [{ host_id: 1, container_id: 0, length: 1 }] }, 'NOT_IMPLEMENTED', 'uidMappings'],
  [{ mount_options: ['x'] }, 'NOT_IMPLEMENTED', 'mount_options'],
])('%j is refused', (changes, code, field) => {
  expect(() => mounts([{}, changes])).toThrow(expect.objectContaining({ code, message: expect.stringContaining(`config.mounts[1].${field}`) as string }));
});
