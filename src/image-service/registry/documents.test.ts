/** Manifests, indexes and configs as registries send them, rightly and wrongly. */

import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FakeRegistry } from '../testing/fake-registry.ts';
import { makeLayer, putImage } from '../testing/image-maker.ts';
import type { MadeImage } from '../testing/image-maker.ts';
import { ImageRig } from '../testing/image-rig.ts';
import { mediaType } from './descriptor.ts';
import { hostPlatform } from './platform.ts';

let registry: FakeRegistry;
let rig: ImageRig;
let made: MadeImage;
const layer = makeLayer({ file: 'content' });

beforeEach(async () => {
  [registry, rig] = await Promise.all([FakeRegistry.start(), ImageRig.create()]);
  made = putImage(registry, 'app', 'v1', [layer]);
  await rig.plainHttp(registry.host);
});

afterEach(async () => {
  await rig.close();
  await registry.stop();
});

const pull = (name = 'app:v1') => rig.pull(`${registry.host}/${name}`);
const fetched = async (path: string): Promise<Buffer> => Buffer.from(await (await fetch(`http://${registry.host}/v2/app/${path}`)).arrayBuffer());
const stored = (name: string): Promise<Buffer> => fetched(`manifests/${name}`);
const blob = (digest: string): Promise<Buffer> => fetched(`blobs/${digest}`);

describe('encoded on their way', () => {
  const encodings = [
    ['gzip', gzipSync],
    ['x-gzip', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
    ['zstd', zstdCompressSync],
    ['deflate, gzip', (content: Buffer) => gzipSync(deflateSync(content))],
    ['identity', (content: Buffer) => content],
  ] as const;

  test.each(encodings)('%s: manifest and config are what they were', async (encoding, encode) => {
    const [manifest, config] = [await stored('v1'), await blob(made.id)];
    registry.intercept = ({ path }, response) => {
      const content = path.endsWith(made.id) ? config : manifest;
      return !path.endsWith(layer.digest) && Boolean(response.writeHead(200, { 'content-encoding': encoding }).end(encode(content)));
    };
    expect((await pull()).id).toBe(made.id);
    expect([...(await pull()).names.keys()]).toContain(`${registry.host}/app@${made.manifestDigest}`);
  });

  test('a document that is small on its way and huge without is refused', async () => {
    const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024, 0x20));
    expect(bomb.length).toBeLessThan(100_000);
    registry.intercept = (_request, response) => Boolean(response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb));
    await expect(pull()).rejects.toThrow(/longer than 4194304 bytes/);
    await expect(pull(`app@${made.manifestDigest}`)).rejects.toThrow(/longer than 4194304 bytes/);
  });

  test('one that is said to be encoded and is not counts as it is, if its digest is right', async () => {
    const manifest = await stored('v1');
    registry.intercept = ({ path }, response) =>
      path.includes('/manifests/') && Boolean(response.writeHead(200, { 'content-encoding': 'gzip', 'content-type': mediaType.ociManifest }).end(manifest));
    expect((await pull(`app@${made.manifestDigest}`)).id).toBe(made.id);
  });
});

describe('wrong', () => {
  const answerManifest = (headers: Record<string, string>, content: Buffer | string): void => {
    registry.intercept = ({ path }, response) => path.includes('/manifests/') && Boolean(response.writeHead(200, headers).end(content));
  };

  test('a Docker-Content-Digest that is not the manifest’s', async () => {
    const content = await stored('v1');
    answerManifest({ 'docker-content-digest': `sha256:${'0'.repeat(64)}`, 'content-type': mediaType.ociManifest }, content);
    await expect(pull()).rejects.toThrow(expect.objectContaining({ code: 'DIGEST_MISMATCH', message: expect.stringContaining(made.manifestDigest) as string }));
    answerManifest({ 'docker-content-digest': made.manifestDigest, 'content-type': mediaType.ociManifest }, content);
    await pull();
  });

  test('a manifest in the place of another', async () => {
    const other = putImage(registry, 'app', 'v2', [makeLayer({ other: 'content' })]);
    answerManifest({}, await stored('v2'));
    await expect(pull(`app@${made.manifestDigest}`)).rejects.toThrow(expect.objectContaining({ code: 'DIGEST_MISMATCH', message: expect.stringContaining(other.manifestDigest) as string }));
  });

  test('a config of another length than the manifest says, or longer than any', async () => {
    const manifest = JSON.parse((await stored('v1')).toString()) as { config: { size: number } };
    for (const [size, message] of [[manifest.config.size + 1, /bytes/], [9 * 1024 * 1024, /more than the 8388608 allowed/]] as const) {
      registry.manifest('app', 'v3', Buffer.from(JSON.stringify({ ...manifest, config: { ...manifest.config, size } })), mediaType.ociManifest);
      await expect(pull('app:v3')).rejects.toThrow(expect.objectContaining({ code: 'REGISTRY_PROTOCOL', message: expect.stringMatching(message) as string }));
    }
  });

  test('Docker’s schema 1, in words that say what to do', async () => {
    const signed = { schemaVersion: 1, name: 'app', tag: 'v1', fsLayers: [], history: [], signatures: [] };
    answerManifest({ 'content-type': 'application/vnd.docker.distribution.manifest.v1+prettyjws' }, JSON.stringify(signed));
    await expect(pull()).rejects.toThrow(/schema version is 1, .*push the image again/);
  });

  test('a manifest cut short without anybody saying so', async () => {
    answerManifest({ 'transfer-encoding': 'chunked' }, (await stored('v1')).subarray(0, -10));
    await expect(pull()).rejects.toThrow(expect.objectContaining({ code: 'REGISTRY_PROTOCOL' }));
  });
});

describe('indexes', () => {
  const entry = (digest: string, content: Buffer, type: string) => ({ mediaType: type, digest, size: content.length, platform: hostPlatform() });
  const putIndex = (tag: string, entries: readonly object[]): { readonly digest: string; readonly content: Buffer } => {
    const content = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: mediaType.ociIndex, manifests: entries }));
    return { digest: registry.manifest('app', tag, content, mediaType.ociIndex), content };
  };

  test('in an index lead to the image, which all of them name', async () => {
    let inner = putIndex('i0', [entry(made.manifestDigest, await stored('v1'), mediaType.ociManifest)]);
    for (const tag of ['i1', 'i2']) inner = putIndex(tag, [entry(inner.digest, inner.content, mediaType.ociIndex)]);
    expect((await pull('app:i2')).id).toBe(made.id);
  });

  test('nested deeper than anybody needs are refused', async () => {
    let inner = putIndex('i0', [entry(made.manifestDigest, await stored('v1'), mediaType.ociManifest)]);
    for (const tag of ['i1', 'i2', 'i3', 'i4', 'i5']) inner = putIndex(tag, [entry(inner.digest, inner.content, mediaType.ociIndex)]);
    await expect(pull('app:i5')).rejects.toThrow(/nested more than 4 deep/);
  });

  test('of attestations are passed over for the image', async () => {
    const attestation = putImage(registry, 'app', 'att', []);
    const unknown = { ...entry(attestation.manifestDigest, await stored('att'), mediaType.ociManifest), platform: { os: 'unknown', architecture: 'unknown' } };
    putIndex('both', [unknown, entry(made.manifestDigest, await stored('v1'), mediaType.ociManifest)]);
    expect((await pull('app:both')).id).toBe(made.id);
    putIndex('only', [unknown]);
    await expect(pull('app:only')).rejects.toThrow(expect.objectContaining({ code: 'REGISTRY_NOT_FOUND' }));
  });

  test('whose entry has another length than the manifest are refused', async () => {
    const manifest = await stored('v1');
    putIndex('wrong', [entry(made.manifestDigest, manifest.subarray(1), mediaType.ociManifest)]);
    await expect(pull('app:wrong')).rejects.toThrow(expect.objectContaining({ code: 'REGISTRY_PROTOCOL' }));
  });
});

test('a manifest of 4 MiB is the longest', async () => {
  const manifest = await stored('v1');
  const padded = (length: number): Buffer => Buffer.concat([manifest, Buffer.alloc(length - manifest.length, 0x20)]);
  registry.manifest('app', 'long', padded(4 * 1024 * 1024), mediaType.ociManifest);
  expect((await pull('app:long')).id).toBe(made.id);
  registry.manifest('app', 'longer', padded(4 * 1024 * 1024 + 1), mediaType.ociManifest);
  await expect(pull('app:longer')).rejects.toThrow(/longer than 4194304/);
});
