import { describe, expect, test } from 'vitest';
import { mediaType } from './descriptor.ts';
import { chooseEntry, parseManifest } from './manifest.ts';
import type { ImageIndex } from './manifest.ts';
import { normalizePlatform, platformRank } from './platform.ts';

const digest = `sha256:${'a'.repeat(64)}`;
const descriptor = (type: string, more: object = {}): object => ({ mediaType: type, digest, size: 10, ...more });
const bytes = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const ociLayer = 'application/vnd.oci.image.layer.v1.tar+gzip';
const manifest = (more: object = {}): object => ({
  schemaVersion: 2,
  config: descriptor(mediaType.ociConfig),
  layers: [descriptor(ociLayer)],
  ...more,
});

describe('parseManifest', () => {
  test.each([
    ['by its own mediaType', manifest({ mediaType: mediaType.ociManifest }), 'text/plain'],
    ['by the header', manifest(), `${mediaType.dockerManifest}; charset=utf-8`],
    ['by its shape', manifest(), ''],
    ['Docker schema 2', manifest({ mediaType: mediaType.dockerManifest, config: descriptor(mediaType.dockerConfig) }), ''],
  ])('a manifest is known %s', (_, document, type) => {
    expect(parseManifest(bytes(document), type, 'x')).toMatchObject({ kind: 'manifest', layers: [{ digest, size: 10 }] });
  });

  test('an index is known by its shape', () => {
    expect(parseManifest(bytes({ schemaVersion: 2, manifests: [] }), '', 'x')).toEqual({ kind: 'index', entries: [] });
  });

  test.each([
    'application/vnd.oci.image.layer.v1.tar',
    'application/vnd.oci.image.layer.v1.tar+zstd',
    'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
    'application/vnd.docker.image.rootfs.diff.tar.gzip',
    'application/vnd.docker.image.rootfs.diff.tar.zstd',
    'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
  ])('%s is a layer', (type) => {
    expect(parseManifest(bytes(manifest({ layers: [descriptor(type)] })), '', 'x')).toMatchObject({ layers: [{ mediaType: type }] });
  });

  test.each([
    ['an artifact', manifest({ config: descriptor('application/vnd.oci.empty.v1+json') }), /not a container image/],
    ['an encrypted layer', manifest({ layers: [descriptor(`${ociLayer}+encrypted`)] }), /cannot|can be unpacked/],
    ['a signed manifest of schema 1', { schemaVersion: 1 }, /only 2/],
    ['a negative size', manifest({ layers: [descriptor(ociLayer, { size: -1 })] }), /layers\[0\]: size/],
    ['a size beyond 2^53', manifest({ layers: [descriptor(ociLayer, { size: 1e300 })] }), /layers\[0\]: size/],
    ['a digest that climbs', manifest({ layers: [descriptor(ociLayer, { digest: 'sha256:../../x' })] }), /layers\[0\]: digest/],
    ['too many layers', manifest({ layers: Array.from({ length: 501 }, () => descriptor(ociLayer)) }), /501 layers/],
    ['layers that are no array', manifest({ layers: {} }), /layers: it is not an array/],
    ['a foreign type', manifest({ mediaType: 'text/html' }), /text\/html/],
  ])('%s is refused', (_, document, message) => {
    expect(() => parseManifest(bytes(document), '', 'x')).toThrow(message);
  });

  test('bytes that are not UTF-8 are refused', () => {
    expect(() => parseManifest(Buffer.from([0x7b, 0xff, 0x7d]), '', 'x')).toThrow(/not JSON/);
  });
});

describe('chooseEntry', () => {
  const entry = (os: string, architecture: string, variant = ''): ImageIndex['entries'][number] => ({
    descriptor: { mediaType: mediaType.ociManifest, digest: `sha256:${os}-${architecture}-${variant}`, size: 1 },
    platform: { os, architecture, variant },
  });
  const chosen = (host: Parameters<typeof chooseEntry>[1], ...entries: ImageIndex['entries'][number][]): string =>
    chooseEntry({ kind: 'index', entries }, host, 'x').descriptor.digest;

  test('os and architecture decide', () => {
    const amd64 = { os: 'linux', architecture: 'amd64', variant: '' };
    expect(chosen(amd64, entry('windows', 'amd64'), entry('linux', 'arm64', 'v8'), entry('linux', 'amd64'))).toBe('sha256:linux-amd64-');
  });

  test('of the variants that run the highest is taken', () => {
    const armv7 = { os: 'linux', architecture: 'arm', variant: 'v7' };
    expect(chosen(armv7, entry('linux', 'arm', 'v5'), entry('linux', 'arm', 'v6'), entry('linux', 'arm', 'v8'))).toBe('sha256:linux-arm-v6');
  });

  test('the first of equals is taken', () => {
    const arm64 = normalizePlatform({ os: 'linux', architecture: 'arm64', variant: '' });
    expect(chosen(arm64, entry('linux', 'arm64'), entry('linux', 'arm64', 'v8'))).toBe('sha256:linux-arm64-');
  });

  test('what is offered is told when nothing suits', () => {
    const host = { os: 'linux', architecture: 'amd64', variant: '' };
    expect(() => chosen(host, entry('linux', 's390x'), entry('windows', 'amd64'))).toThrow(/only for linux\/s390x, windows\/amd64/);
  });

  test('an x86-64-v3 image does not run on a processor known as plain amd64', () => {
    const host = { os: 'linux', architecture: 'amd64', variant: '' };
    expect(platformRank(host, { os: 'linux', architecture: 'x86_64', variant: 'v3' })).toBe(0);
    expect(platformRank(host, { os: 'Linux', architecture: 'x86_64', variant: 'v1' })).toBeGreaterThan(0);
  });
});
