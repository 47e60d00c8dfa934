import { expect, test } from 'vitest';
import { nameOfEntry, parseGivenName } from './archive-names.ts';

const containerd = 'io.containerd.image.name';
const oci = 'org.opencontainers.image.ref.name';

test.each([
  ['a full name counts first', { [containerd]: 'docker.io/library/a:1', [oci]: '1' }, undefined, 'docker.io/library/a:1'],
  ['a reference that is one', { [oci]: 'example.test/b:2' }, undefined, 'example.test/b:2'],
  ['a short name with a tag', { [oci]: 'busybox:1' }, undefined, 'docker.io/library/busybox:1'],
  ['a bare tag alone is no name', { [oci]: 'v1' }, undefined, undefined],
  ['a bare tag with a repository', { [oci]: 'v1' }, 'example.test/c', 'example.test/c:v1'],
  ['nothing', {}, 'example.test/c', undefined],
  ['not a string', { [oci]: 5 }, 'example.test/c', undefined],
])('%s', (_, annotations, repository, name) => {
  expect(nameOfEntry(annotations, repository)).toBe(name);
});

test('what is no reference is refused', () => {
  expect(() => nameOfEntry({ [oci]: 'UPPER/../x:1' }, undefined)).toThrow(expect.objectContaining({ code: 'INVALID_REFERENCE' }));
});

test('the given name', () => {
  expect(parseGivenName('')).toEqual({ name: undefined, repository: undefined });
  expect(parseGivenName('busybox')).toEqual({ name: 'docker.io/library/busybox:latest', repository: 'docker.io/library/busybox' });
  expect(() => parseGivenName(`busybox@sha256:${'0'.repeat(64)}`)).toThrow(/^name: holds a digest/);
});
