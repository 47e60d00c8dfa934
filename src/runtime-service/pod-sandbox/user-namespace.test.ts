import { expect, test } from 'vitest';
import { equalIdMaps, hostIds, mountIdMaps, userNamespace, validateContainerUserNamespace } from './user-namespace.ts';

const range = (container_id: number, host_id: number, length: number) => ({ container_id, host_id, length });
const pod = (uids: ReturnType<typeof range>[], gids = uids) => ({ mode: 'POD' as const, uids, gids });
const kubelet = pod([range(0, 65_536, 65_536)]);
const refusal = (field: string): unknown => expect.objectContaining({ code: 'INVALID_FIELD', message: expect.stringContaining(`${field}: `) as string });

test('one range as the kubelet sends it is taken over; NODE and nothing mean none', () => {
  const maps = [{ containerID: 0, hostID: 65_536, size: 65_536 }];
  expect(userNamespace(kubelet, 'f')).toEqual({ uids: maps, gids: maps });
  expect(userNamespace(null, 'f')).toBeNull();
  expect(userNamespace({ mode: 'NODE', uids: [], gids: [] }, 'f')).toBeNull();
});

test.each([
  ['f.mode', { ...kubelet, mode: 'CONTAINER' as const }],
  ['f.mode', { ...kubelet, mode: 'TARGET' as const }],
  ['f.uids', { ...kubelet, mode: 'NODE' as const }],
  ['f.uids', pod([])],
  ['f.gids', pod([range(0, 1000, 10)], [])],
  ['f.uids', pod([range(0, 1000, 10), range(10, 2000, 10)])],
  ['f.uids[0].container_id', pod([range(1, 1000, 10)])],
  ['f.uids[0].length', pod([range(0, 1000, 0)])],
  ['f.uids[0].length', pod([range(0, 4_294_967_290, 10)])],
  ['f.uids[0].length', pod([range(0, 0, 4_294_967_295), range(5, 5, 1)].slice(0, 1).map(({ length }) => range(0, 1, length)))],
  ['f.gids', pod([range(0, 1000, 10)], [range(0, 1001, 10)])],
])('%s is refused by its name', (field, options) => {
  expect(() => userNamespace(options, 'f')).toThrow(refusal(field));
});

test('the largest range possible is one that ends with the last id', () => {
  expect(userNamespace(pod([range(0, 0, 4_294_967_295)]), 'f')).not.toBeNull();
});

test('a container says what its pod said, or nothing', () => {
  const maps = userNamespace(kubelet, 'f');
  const options = 'config.linux.security_context.namespace_options.userns_options';
  expect(() => validateContainerUserNamespace(kubelet, maps)).not.toThrow();
  expect(() => validateContainerUserNamespace(null, maps)).not.toThrow();
  expect(() => validateContainerUserNamespace({ mode: 'NODE', uids: [], gids: [] }, null)).not.toThrow();
  expect(() => validateContainerUserNamespace(kubelet, null)).toThrow(refusal(options));
  expect(() => validateContainerUserNamespace({ mode: 'NODE', uids: [], gids: [] }, maps)).toThrow(refusal(options));
  expect(() => validateContainerUserNamespace(pod([range(0, 65_536, 100)]), maps)).toThrow(refusal(options));
});

test('a mount may have several ranges, that do not overlap', () => {
  const two = [range(0, 1000, 10), range(10, 5000, 10)];
  expect(mountIdMaps({ uidMappings: two, gidMappings: two }, 'm')?.uids).toHaveLength(2);
  expect(mountIdMaps({ uidMappings: [], gidMappings: [] }, 'm')).toBeNull();
  expect(() => mountIdMaps({ uidMappings: two, gidMappings: [] }, 'm')).toThrow(refusal('m.gidMappings'));
  expect(() => mountIdMaps({ uidMappings: [range(0, 1000, 10), range(9, 5000, 10)], gidMappings: two }, 'm')).toThrow(refusal('m.uidMappings[1].container_id'));
  expect(() => mountIdMaps({ uidMappings: [range(0, 1000, 10), range(10, 1009, 10)], gidMappings: two }, 'm')).toThrow(refusal('m.uidMappings[1].host_id'));
  const many = Array.from({ length: 33 }, (_, index) => range(index, 1000 + index, 1));
  expect(() => mountIdMaps({ uidMappings: many, gidMappings: two }, 'm')).toThrow(refusal('m.uidMappings'));
});

test('ids inside have their ids on the node', () => {
  const maps = { uids: [{ containerID: 0, hostID: 1000, size: 10 }], gids: [{ containerID: 0, hostID: 2000, size: 10 }] };
  expect(hostIds(maps, { uid: 3, gid: 4 })).toEqual({ uid: 1003, gid: 2004 });
  expect(hostIds(maps, { uid: 10, gid: 11 })).toEqual({ uid: 10, gid: 11 });
  expect(equalIdMaps(maps, { ...maps })).toBe(true);
  expect(equalIdMaps(maps, null)).toBe(false);
});
