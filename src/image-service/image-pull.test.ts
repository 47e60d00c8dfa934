import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { BerthError } from '../errors/catalogue.ts';
import { digestOf } from './digest.ts';
import { mediaType } from './registry/descriptor.ts';
import { hostPlatform } from './registry/platform.ts';
import { FakeRegistry } from './testing/fake-registry.ts';
import { makeLayer, putImage } from './testing/image-maker.ts';
import { ImageRig } from './testing/image-rig.ts';

let registry: FakeRegistry;
let rig: ImageRig;
const layerA = makeLayer({ 'a.txt': 'a'.repeat(5000) });
const layerB = makeLayer({ 'b.txt': 'b' });

beforeEach(async () => {
  registry = await FakeRegistry.start();
  rig = await ImageRig.create();
  await rig.plainHttp(registry.host);
});

afterEach(async () => {
  await rig.close();
  await registry.stop();
});

function code(expected: string): unknown {
  return expect.objectContaining({ code: expected });
}

test('a pulled image is stored under its tag and its digest, its layers in place', async () => {
  const made = putImage(registry, 'team/app', 'v1', [layerA, layerB]);
  const image = await rig.pull(`${registry.host}/team/app:v1`);
  expect(image.id).toBe(made.id);
  expect([...image.names.keys()]).toEqual([`${registry.host}/team/app:v1`, `${registry.host}/team/app@${made.manifestDigest}`]);
  expect((await rig.storedLayers()).toSorted()).toEqual([layerA.diffId, layerB.diffId].toSorted());
  expect(await readFile(join(rig.store.layers.tree(layerA.diffId), 'layer.tar'))).toEqual(layerA.tar);
  expect(await rig.leftovers()).toEqual([]);
  expect(rig.unpacker.synced).toHaveLength(1);
});

test('the root of a layer is open to every user, whatever the umask', async () => {
  putImage(registry, 'app', 'latest', [layerA]);
  await rig.pull(`${registry.host}/app`);
  const { mode } = await stat(rig.store.layers.tree(layerA.diffId));
  expect(mode & 0o777).toBe(0o755);
});

test('what is stored already is not fetched again, but the registry is asked', async () => {
  putImage(registry, 'app', 'v1', [layerA]);
  await rig.pull(`${registry.host}/app:v1`);
  registry.seen.length = 0;
  await rig.pull(`${registry.host}/app:v1`);
  expect(registry.requests(/manifests/)).toHaveLength(1);
  expect(registry.requests(new RegExp(layerA.digest))).toHaveLength(0);
});

test('an image without layers and one with the same layer twice are images', async () => {
  putImage(registry, 'none', 'latest', []);
  putImage(registry, 'twice', 'latest', [layerA, layerB, layerA]);
  expect((await rig.pull(`${registry.host}/none`)).layers).toEqual([]);
  await rig.pull(`${registry.host}/twice`);
  expect(registry.requests(new RegExp(layerA.digest))).toHaveLength(1);
});

test('an index leads to the manifest for this platform, and names the image', async () => {
  const made = putImage(registry, 'multi', 'mine', [layerA]);
  const foreign = putImage(registry, 'multi', 'foreign', [layerB]);
  const manifestSize = (await fetch(`http://${registry.host}/v2/multi/manifests/mine`).then((answer) => answer.arrayBuffer())).byteLength;
  const entry = (digest: string, platform: unknown): unknown => ({ mediaType: mediaType.ociManifest, digest, size: manifestSize, platform });
  const index = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaType.ociIndex,
      manifests: [entry(foreign.manifestDigest, { os: 'linux', architecture: 'm68k' }), entry(made.manifestDigest, hostPlatform())],
    }),
  );
  const indexDigest = registry.manifest('multi', 'latest', index, mediaType.ociIndex);
  const image = await rig.pull(`${registry.host}/multi`);
  expect(image.id).toBe(made.id);
  expect([...image.names.keys()]).toContain(`${registry.host}/multi@${indexDigest}`);
  await rig.open();
  expect(rig.store.index.find(`${registry.host}/multi@${indexDigest}`)?.id).toBe(made.id);
});

test('an image pulled by digest has no tag', async () => {
  const made = putImage(registry, 'app', 'v1', [layerA]);
  const image = await rig.pull(`${registry.host}/app:ignored@${made.manifestDigest}`);
  expect([...image.names.keys()]).toEqual([`${registry.host}/app@${made.manifestDigest}`]);
});

test('a tag that moved leaves the old image its digest', async () => {
  const old = putImage(registry, 'app', 'v1', [layerA]);
  await rig.pull(`${registry.host}/app:v1`);
  const young = putImage(registry, 'app', 'v1', [layerB]);
  await rig.pull(`${registry.host}/app:v1`);
  expect(rig.store.index.find(`${registry.host}/app:v1`)?.id).toBe(young.id);
  expect([...(rig.store.index.byId(old.id)?.names.keys() ?? [])]).toEqual([`${registry.host}/app@${old.manifestDigest}`]);
});

test('two equal pulls are one, and a layer that two images share is fetched once', async () => {
  putImage(registry, 'one', 'latest', [layerA]);
  putImage(registry, 'two', 'latest', [layerA, layerB]);
  const [first, second] = await Promise.all([
    rig.pull(`${registry.host}/one`),
    rig.pull(`${registry.host}/one`),
    rig.pull(`${registry.host}/two`),
  ]);
  expect(first).toBe(second);
  expect(registry.requests(/one\/manifests/)).toHaveLength(1);
  expect(registry.requests(new RegExp(layerA.digest))).toHaveLength(1);
});

test('pulls with different credentials are not one', async () => {
  putImage(registry, 'one', 'latest', [layerA]);
  const auth = { credentials: { kind: 'basic', username: 'u', password: 'p' }, serverHost: '' } as const;
  await Promise.all([rig.pull(`${registry.host}/one`), rig.pull(`${registry.host}/one`, auth)]);
  expect(registry.requests(/one\/manifests/)).toHaveLength(2);
});

/** Holds layer answers back until released. */
function holdLayers(): { readonly asked: Promise<void>; release: () => void } {
  const { promise: asked, resolve: ask } = Promise.withResolvers<void>();
  const waiting: (() => void)[] = [];
  registry.intercept = (request, response) => {
    if (!request.path.includes(layerA.digest)) return false;
    waiting.push(() => registry.answer(request, response));
    ask();
    return true;
  };
  return {
    asked,
    release: () => {
      registry.intercept = () => false;
      for (const go of waiting) go();
    },
  };
}

test('a pull that one of two callers cancels goes on for the other', async () => {
  putImage(registry, 'app', 'latest', [layerA]);
  const hold = holdLayers();
  const impatient = new AbortController();
  const first = rig.pull(`${registry.host}/app`, undefined, impatient.signal);
  const second = rig.pull(`${registry.host}/app`);
  await hold.asked;
  impatient.abort();
  await expect(first).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }));
  hold.release();
  expect((await second).layers).toHaveLength(1);
});

test('a pull that all callers cancel leaves nothing, and the next one succeeds', async () => {
  putImage(registry, 'app', 'latest', [layerA]);
  const hold = holdLayers();
  const impatient = new AbortController();
  const first = rig.pull(`${registry.host}/app`, undefined, impatient.signal);
  await hold.asked;
  impatient.abort();
  await expect(first).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }));
  expect(await rig.leftovers()).toEqual([]);
  expect(rig.store.usage().bytes).toBe(0);
  hold.release();
  await rig.pull(`${registry.host}/app`);
});

test('a layer whose first puller is cancelled is fetched by the second', async () => {
  putImage(registry, 'one', 'latest', [layerA]);
  putImage(registry, 'two', 'latest', [layerA, layerB]);
  const hold = holdLayers();
  const impatient = new AbortController();
  const first = rig.pull(`${registry.host}/one`, undefined, impatient.signal);
  await hold.asked;
  const second = rig.pull(`${registry.host}/two`);
  impatient.abort();
  await expect(first).rejects.toThrow();
  hold.release();
  expect((await second).layers).toHaveLength(2);
});

test('a connection that is cut in a layer is taken up where it broke', async () => {
  const big = makeLayer({ big: Array.from({ length: 20_000 }, (_, n) => digestOf(Buffer.from(String(n)))).join('') });
  putImage(registry, 'app', 'latest', [big]);
  let cuts = 0;
  registry.intercept = (request, response) => {
    if (!request.path.includes(big.digest) || cuts === 2) return false;
    cuts += 1;
    const from = Number(/bytes=([0-9]+)/.exec(request.headers.range ?? '')?.[1] ?? 0);
    response.writeHead(from === 0 ? 200 : 206, {
      'content-length': String(big.packed.length - from),
      'content-range': `bytes ${from}-${big.packed.length - 1}/${big.packed.length}`,
    });
    response.write(big.packed.subarray(from, from + 100_000), () => response.destroy());
    return true;
  };
  await rig.pull(`${registry.host}/app`);
  expect(registry.requests(new RegExp(big.digest)).slice(1).every(({ headers }) => headers.range !== undefined)).toBe(true);
});

test('a server that ignores ranges is read past what is there already', async () => {
  const big = makeLayer({ big: Array.from({ length: 20_000 }, (_, n) => digestOf(Buffer.from(String(n)))).join('') });
  putImage(registry, 'app', 'latest', [big]);
  let cut = false;
  registry.intercept = (request, response) => {
    if (!request.path.includes(big.digest)) return false;
    response.writeHead(200, { 'content-length': String(big.packed.length) });
    if (cut) response.end(big.packed);
    else response.write(big.packed.subarray(0, 100_000), () => response.destroy());
    cut = true;
    return true;
  };
  await rig.pull(`${registry.host}/app`);
});

test('a server that stalls is left for the next, which goes on where it stopped', async () => {
  const mirror = await FakeRegistry.start();
  try {
    for (const server of [mirror, registry]) putImage(server, 'app', 'latest', [layerA]);
    mirror.intercept = (request, response) => {
      if (!request.path.includes(layerA.digest)) return false;
      response.writeHead(200, { 'content-length': String(layerA.packed.length) });
      return response.write(layerA.packed.subarray(0, 20)) || true;
    };
    rig.progressTimeout = 50;
    await rig.open();
    await rig.hosts(registry.host, `server = "http://${registry.host}"\n[host."http://${mirror.host}"]\n`);
    await rig.pull(`${registry.host}/app`);
    expect(registry.requests(new RegExp(layerA.digest))[0]?.headers.range).toMatch(/^bytes=20-/);
  } finally {
    await mirror.stop();
  }
});

test('a registry that never answers is given up', async () => {
  registry.intercept = () => true;
  rig.progressTimeout = 50;
  await rig.open();
  await expect(rig.pull(`${registry.host}/app`)).rejects.toThrow(/^RegistryUnavailable: .* sent nothing for too long/);
  expect(registry.seen).toHaveLength(1);
});

test('a connection that is always cut is a registry that is unavailable', async () => {
  putImage(registry, 'app', 'latest', [layerA, layerB]);
  registry.intercept = (request, response) => {
    if (!request.path.includes(layerA.digest)) return false;
    response.destroy();
    return true;
  };
  const failure = await rig.pull(`${registry.host}/app`).catch((cause: unknown) => cause);
  expect(failure).toMatchObject({ code: 'REGISTRY_UNAVAILABLE' });
  expect((failure as BerthError).message).toMatch(/^RegistryUnavailable: /);
  expect(rig.store.index.all()).toEqual([]);
});

test.each([
  ['the same tar, packed differently', (packed: Buffer) => Buffer.concat([packed.subarray(0, 9), Buffer.from([7]), packed.subarray(10)])],
  ['other content of the same length', (packed: Buffer) => Buffer.alloc(packed.length, 7)],
  ['another layer of another length', () => layerB.packed],
  ['a shorter layer', (packed: Buffer) => packed.subarray(0, -1)],
  ['a longer layer', (packed: Buffer) => Buffer.concat([packed, Buffer.from('x')])],
])('%s is a digest mismatch and leaves nothing', async (_, wrong) => {
  putImage(registry, 'app', 'latest', [layerA]);
  registry.corruptBlob(layerA.digest, wrong(layerA.packed));
  await expect(rig.pull(`${registry.host}/app`)).rejects.toThrow(code('DIGEST_MISMATCH') as Error);
  expect(await rig.leftovers()).toEqual([]);
  expect(rig.store.usage().bytes).toBe(0);
});

test('a diff ID that the content does not have is a digest mismatch', async () => {
  putImage(registry, 'app', 'latest', [{ ...layerA, diffId: layerB.diffId }]);
  await expect(rig.pull(`${registry.host}/app`)).rejects.toThrow(code('DIGEST_MISMATCH') as Error);
});

test('a mirror with wrong content is passed over for the registry', async () => {
  const mirror = await FakeRegistry.start();
  try {
    for (const server of [mirror, registry]) putImage(server, 'app', 'latest', [layerA]);
    mirror.corruptBlob(layerA.digest, Buffer.alloc(layerA.packed.length, 7));
    await rig.hosts(registry.host, `server = "http://${registry.host}"\n[host."http://${mirror.host}"]\n`);
    await rig.pull(`${registry.host}/app`);
    expect(registry.requests(/manifests/)).toHaveLength(0);
    expect(registry.requests(new RegExp(layerA.digest))).toHaveLength(1);
  } finally {
    await mirror.stop();
  }
});

test('a disk that is full is a clear error and leaves nothing', async () => {
  putImage(registry, 'app', 'latest', [layerA]);
  rig.unpacker.failWith = new BerthError('DISK_FULL', 'write: no space left on device');
  await expect(rig.pull(`${registry.host}/app`)).rejects.toThrow(code('DISK_FULL') as Error);
  expect(await rig.leftovers()).toEqual([]);
});

test('when the disk is full in a commit the finished layers go at once', async () => {
  putImage(registry, 'app', 'latest', [layerA]);
  rig.unpacker.sync = () => Promise.reject(new BerthError('DISK_FULL', 'sync: no space left on device'));
  await expect(rig.pull(`${registry.host}/app`)).rejects.toThrow(code('DISK_FULL') as Error);
  expect(await rig.leftovers()).toEqual([]);
  expect(rig.store.usage()).toEqual({ bytes: 0, inodes: 0 });
});

test('a layer that the unpacker refuses is told from a broken transfer', async () => {
  putImage(registry, 'app', 'latest', [layerA]);
  rig.unpacker.failWith = new BerthError('LAYER_REFUSED', 'entry "../etc/passwd": leads out of the layer');
  await expect(rig.pull(`${registry.host}/app`)).rejects.toThrow(code('LAYER_REFUSED') as Error);
});

test.each([
  ['not JSON', 'hello', 'REGISTRY_PROTOCOL'],
  ['an array', '[]', 'REGISTRY_PROTOCOL'],
  ['schema 1', '{"schemaVersion":1}', 'REGISTRY_PROTOCOL'],
  ['manifest and index at once', '{"schemaVersion":2,"manifests":[],"layers":[]}', 'REGISTRY_PROTOCOL'],
  ['no layers', '{"schemaVersion":2,"config":{}}', 'REGISTRY_PROTOCOL'],
  ['an index for others', `{"schemaVersion":2,"mediaType":"${mediaType.ociIndex}","manifests":[]}`, 'REGISTRY_NOT_FOUND'],
])('a manifest that is %s is an error', async (_, content, expected) => {
  registry.manifest('app', 'latest', Buffer.from(content), mediaType.ociManifest);
  await expect(rig.pull(`${registry.host}/app`)).rejects.toThrow(code(expected) as Error);
});

test('a manifest beyond 4 MiB is refused', async () => {
  registry.manifest('app', 'latest', Buffer.alloc(4 * 1024 * 1024 + 1, 0x20), mediaType.ociManifest);
  await expect(rig.pull(`${registry.host}/app`)).rejects.toThrow(/longer than 4194304/);
});

test('an absent image names reference and host', async () => {
  const failure = await rig.pull(`${registry.host}/absent:v9`).catch((cause: unknown) => cause);
  expect(failure).toMatchObject({ code: 'REGISTRY_NOT_FOUND' });
  expect((failure as BerthError).message).toContain(`${registry.host}/absent:v9: not found on ${registry.host}`);
});

test('without a mirror file a registry is never spoken to in plain HTTP', async () => {
  putImage(registry, 'app', 'latest', [layerA]);
  await rig.hosts(registry.host, '');
  await expect(rig.pull(`${registry.host}/app`)).rejects.toThrow(code('REGISTRY_UNAVAILABLE') as Error);
  expect(registry.seen).toEqual([]);
});
