import { afterEach, beforeEach, expect, test } from 'vitest';
import { digestOf } from '../digest.ts';
import { FakeRegistry } from '../testing/fake-registry.ts';
import { makeLayer } from '../testing/image-maker.ts';
import { ImageRig } from '../testing/image-rig.ts';
import { mediaType } from './descriptor.ts';
import { hostPlatform } from './platform.ts';

const layer = makeLayer({ file: 'content' });
const auth = { credentials: { kind: 'basic', username: 'user', password: 'secret' }, serverHost: '' } as const;
const header = `Basic ${Buffer.from('user:secret').toString('base64')}`;

let registry: FakeRegistry;
let elsewhere: FakeRegistry;
let rig: ImageRig;

beforeEach(async () => {
  [registry, elsewhere, rig] = await Promise.all([FakeRegistry.start(), FakeRegistry.start(), ImageRig.create()]);
  await rig.plainHttp(registry.host);
  registry.intercept = ({ headers }, response) =>
    headers.authorization !== header && Boolean(response.writeHead(401, { 'www-authenticate': 'Basic realm="test"' }).end());
});

afterEach(async () => {
  await rig.close();
  await Promise.all([registry.stop(), elsewhere.stop()]);
});

const here = (): string => `http://${elsewhere.host}/files/blobs/${layer.digest}`;

/** An image whose only layer is to be had at `urls`, under a path that the fake registry has blobs at. */
function putForeign(...urls: readonly string[]): void {
  const config = Buffer.from(JSON.stringify({ ...hostPlatform(), config: {}, rootfs: { type: 'layers', diff_ids: [layer.diffId] } }));
  const manifest = {
    schemaVersion: 2,
    mediaType: mediaType.ociManifest,
    config: { mediaType: mediaType.ociConfig, digest: registry.blob(config), size: config.length },
    layers: [{ mediaType: 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip', digest: digestOf(layer.packed), size: layer.packed.length, urls }],
  };
  registry.manifest('app', 'v1', Buffer.from(JSON.stringify(manifest)), mediaType.ociManifest);
}

const pull = (): Promise<unknown> => rig.pull(`${registry.host}/app:v1`, auth);

test('a layer that the registry does not have comes from its URL, without the registry\'s credentials', async () => {
  await rig.hosts(elsewhere.host, `server = "http://${elsewhere.host}"\n[header]\nx-secret = "for the registry there"\n`);
  elsewhere.blob(layer.packed);
  putForeign(`http://${elsewhere.host}/v2/gone/blobs/sha256:0`, here().replace('/files/', '/v2/files/'));
  await pull();
  expect(elsewhere.seen).toHaveLength(2);
  for (const { headers, query } of elsewhere.seen) {
    expect(headers.authorization).toBeUndefined();
    expect(headers['x-secret']).toBeUndefined();
    expect(query.size).toBe(0);
  }
});

test('the registry is asked first', async () => {
  await rig.plainHttp(elsewhere.host);
  registry.blob(layer.packed);
  putForeign(here());
  await pull();
  expect(elsewhere.seen).toEqual([]);
});

test('a challenge of the URL\'s server is not answered', async () => {
  await rig.plainHttp(elsewhere.host);
  elsewhere.intercept = (_, response) => Boolean(response.writeHead(401, { 'www-authenticate': 'Basic realm="give me"' }).end());
  putForeign(here());
  await expect(pull()).rejects.toMatchObject({ code: 'REGISTRY_DENIED' });
  expect(elsewhere.seen.map(({ headers }) => headers.authorization)).toEqual([undefined]);
});

test.each([
  ['plain HTTP that no mirror file names', () => here(), /is not https/],
  ['a file', () => 'file:///etc/shadow', /is not https/],
  ['no URL', () => 'somewhere', /is not https/],
  ['a password', () => here().replace('http://', 'https://user:secret@'), /user or a password/],
])('%s is not asked', async (_, url, problem) => {
  elsewhere.blob(layer.packed);
  putForeign(url());
  await expect(pull()).rejects.toMatchObject({ code: 'REGISTRY_PROTOCOL', message: expect.stringMatching(problem) as string });
  await expect(pull()).rejects.not.toMatchObject({ message: expect.stringContaining('secret@') as string });
  expect(elsewhere.seen).toEqual([]);
});

test('what comes is verified', async () => {
  await rig.plainHttp(elsewhere.host);
  elsewhere.blob(layer.packed);
  const other = Buffer.from(layer.packed);
  other[other.length - 1] = (other[other.length - 1] ?? 0) ^ 1;
  elsewhere.corruptBlob(layer.digest, other);
  putForeign(here().replace('/files/', '/v2/files/'));
  await expect(pull()).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
});
