import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { BerthError } from '../../errors/catalogue.ts';
import { digestOf } from '../digest.ts';
import { FairSlots } from '../fair-slots.ts';
import { parseReference } from '../reference.ts';
import type { PullAuth } from '../registry/credentials.ts';
import { mediaType } from '../registry/descriptor.ts';
import type { StoredImage } from '../store/stored-image.ts';
import { FakeRegistry } from '../testing/fake-registry.ts';
import { makeLayer, putImage } from '../testing/image-maker.ts';
import type { MadeImage } from '../testing/image-maker.ts';
import { ImageRig } from '../testing/image-rig.ts';
import { PushRegistry } from '../testing/push-registry.ts';
import { ImagePusher } from './image-push.ts';

const small = makeLayer({ small: 'content' });
/** Compressed it is still some 200 KiB: sockets do not swallow it at once. */
const large = makeLayer({ large: randomBytes(150_000).toString('base64') });

let source: FakeRegistry;
let registry: PushRegistry;
let rig: ImageRig;
let made: MadeImage;
let image: StoredImage;
let pusher: ImagePusher;
/** What the image is called in the end: a push leaves its names alone. */
let namesAfter: StoredImage['names'] | undefined;

beforeEach(async () => {
  [source, registry, rig] = await Promise.all([FakeRegistry.start(), PushRegistry.start(), ImageRig.create()]);
  made = putImage(source, 'app', 'v1', [small, large], { annotations: { note: 'kept' } });
  await rig.plainHttp(source.host);
  await rig.plainHttp(registry.host);
  pusher = newPusher();
  image = await rig.pull(`${source.host}/app:v1`);
  namesAfter = image.names;
});

afterEach(async () => {
  expect(await rig.leftovers()).toEqual([]);
  expect(rig.store.index.byId(image.id)?.names).toEqual(namesAfter);
  await rig.close();
  await Promise.all([source.stop(), registry.stop()]);
});

/** One that has pushed nothing yet, as in a fresh berthd. */
const newPusher = (): ImagePusher =>
  new ImagePusher({ store: rig.store, unpacker: rig.unpacker, session: rig.sessionOptions, uploads: new FairSlots({ total: 3, perOwner: 2 }) });

function pushTo(destination: string, options: { readonly auth?: PullAuth; readonly level?: number; readonly signal?: AbortSignal } = {}): Promise<string> {
  const { auth, level = 6, signal = new AbortController().signal } = options;
  return pusher.push({ image, destination: parseReference(destination), auth, level }, signal);
}

const push = (repository = 'copy'): Promise<string> => pushTo(`${registry.host}/${repository}:v1`);

interface Manifest {
  readonly mediaType: string;
  readonly config: { readonly digest: string };
  readonly layers: readonly { readonly mediaType: string; readonly digest: string; readonly size: number; readonly urls?: readonly string[] }[];
  readonly annotations: unknown;
}

function manifestOf(repository = 'copy'): Manifest {
  const stored = registry.manifests.get(`${repository}:v1`);
  return JSON.parse(stored?.content.toString('utf8') ?? 'null') as Manifest;
}

/** Of the pushed layer, compressed. */
function sizeOf(diffId: string): number {
  const position = image.layers.findIndex((layer) => layer.diffId === diffId);
  return manifestOf().layers[position]?.size ?? 0;
}

function expectPushed(repository = 'copy'): void {
  const { layers, config } = manifestOf(repository);
  expect(config.digest).toBe(made.id);
  expect(layers.map(({ digest }) => digestOf(gunzipSync(registry.blobs.get(`${repository} ${digest}`) ?? '')))).toEqual([small.diffId, large.diffId]);
}

describe('a push', () => {
  test('sends layers, config and manifest, each once', async () => {
    const digest = await push();
    expectPushed();
    expect(registry.manifests.get(`copy@${digest}`)?.type).toBe(mediaType.ociManifest);
    expect(manifestOf().annotations).toEqual({ note: 'kept' });
    expect(registry.requests('PUT', /uploads/)).toHaveLength(3);
    expect(registry.requests('PATCH')).toEqual([]);
    for (const { query } of registry.requests('PUT', /uploads/)) expect(query.get('_state')).toBe('a b');
  });

  test('can be pulled again', async () => {
    await push();
    await rig.store.remove(image.id);
    image = await rig.pull(`${registry.host}/copy:v1`);
    namesAfter = image.names;
    expect(image.id).toBe(made.id);
  });

  test('the level of compression counts, and gives the same bytes each time', async () => {
    const [fast, best] = [await pushTo(`${registry.host}/fast:v1`, { level: 1 }), await pushTo(`${registry.host}/best:v1`, { level: 9 })];
    expect(fast).not.toBe(best);
    pusher = newPusher();
    expect(await pushTo(`${registry.host}/again:v1`, { level: 1 })).toBe(fast);
  });

  test('sends nothing that is there, and keeps the manifest as it was pulled then', async () => {
    for (const { digest, packed } of [small, large]) registry.blobs.set(`copy ${digest}`, packed);
    expect(await push()).toBe(image.manifest.digest);
    expect(registry.requests('POST')).toHaveLength(1);
  });

  test('of what an earlier one sent needs no compressing and no bytes', async () => {
    const first = await push('one');
    await rm(rig.store.layers.place(large.diffId).tree, { recursive: true });
    expect(await push('one')).toBe(first);
    registry.seen.length = 0;
    expect(await push('two')).toBe(first);
    const mounts = registry.requests('POST').filter(({ query }) => query.has('mount'));
    expect(mounts.map(({ query }) => query.get('from'))).toEqual(['one', 'one']);
    expect(registry.requests('PUT', /uploads/)).toHaveLength(1);
    expectPushed('two');
  });

  test('that names its image by a repository of the same registry mounts its blobs from there', async () => {
    for (const { digest, packed } of [small, large]) registry.blobs.set(`origin ${digest}`, packed);
    await rig.store.tag(image.id, `${registry.host}/origin:v1`);
    image = rig.store.index.byId(image.id) ?? image;
    namesAfter = image.names;
    expect(await push()).toBe(image.manifest.digest);
    expect(registry.requests('PUT', /uploads/)).toHaveLength(1);
  });

  test('uses the upload that a registry offers instead of a mount', async () => {
    await rig.store.tag(image.id, `${registry.host}/origin:v1`);
    image = rig.store.index.byId(image.id) ?? image;
    namesAfter = image.names;
    await push();
    // One for each layer, and one for the config.
    expect(registry.requests('POST')).toHaveLength(3);
    expectPushed();
  });

  test('goes on when a mount is refused', async () => {
    await rig.store.tag(image.id, `${registry.host}/origin:v1`);
    image = rig.store.index.byId(image.id) ?? image;
    namesAfter = image.names;
    registry.intercept = ({ query }, response) => query.has('mount') && Boolean(response.writeHead(403).end());
    await push();
    expectPushed();
  });

  test('that is cancelled leaves nothing', async () => {
    const stopped = new AbortController();
    registry.intercept = ({ method, path }) => {
      if (method !== 'PUT' || !path.includes('uploads')) return false;
      stopped.abort(new Error('enough'));
      return true;
    };
    await expect(pushTo(`${registry.host}/copy:v1`, { signal: stopped.signal })).rejects.toThrow('enough');
    expect(registry.manifests.size).toBe(0);
  });

  test('fails where a layer cannot be made a tar again, unless the registry has it', async () => {
    const { record } = rig.store.layers;
    rig.store.layers.record = (diffId) => ({ ...record.call(rig.store.layers, diffId), skeletonBytes: 0 }) as ReturnType<typeof record>;
    await expect(push()).rejects.toMatchObject({ code: 'NOT_EXPORTABLE' });
    for (const { digest, packed } of [small, large]) registry.blobs.set(`copy ${digest}`, packed);
    expect(await push()).toBe(image.manifest.digest);
  });

  test('of a layer that has changed on disk is refused', async () => {
    rig.unpacker.pack = async function* () {
      yield Buffer.from('something else');
    };
    await expect(push()).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    // It has to be pulled again.
    namesAfter = undefined;
    expect(registry.manifests.size).toBe(0);
  });
});

describe('a layer that may not be handed out', () => {
  const nonDistributable = 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip';
  const withType = (urls: readonly string[]): StoredImage => {
    const [first, ...others] = image.layers;
    if (first === undefined) throw new Error('the image has no layers');
    return { ...image, layers: [{ ...first, descriptor: { ...first.descriptor, mediaType: nonDistributable, ...(urls.length > 0 && { urls }) } }, ...others] };
  };

  test('is left out, and named with its URLs', async () => {
    image = withType(['https://owner.example/layer']);
    // Compressed otherwise than it came, so that the manifest is made anew.
    await pushTo(`${registry.host}/copy:v1`, { level: 1 });
    const [first] = manifestOf().layers;
    expect(first).toEqual({ mediaType: nonDistributable, digest: small.digest, size: small.packed.length, urls: ['https://owner.example/layer'] });
    expect(registry.blobs.has(`copy ${small.digest}`)).toBe(false);
    expect(registry.seen.some(({ path }) => path.includes(small.digest))).toBe(false);
  });

  test('has to be there where it has no URL', async () => {
    image = withType([]);
    await expect(push()).rejects.toMatchObject({ code: 'NOT_EXPORTABLE', message: expect.stringContaining('no URL') as string });
    registry.blobs.set(`copy ${small.digest}`, small.packed);
    await push();
    expect(manifestOf().layers[0]?.digest).toBe(small.digest);
  });
});

describe('an upload', () => {
  const { length } = large.packed;

  test('that breaks is taken up where the registry says', async () => {
    registry.cuts = [length >> 1];
    await push();
    expectPushed();
    expect(registry.requests('PATCH').map(({ headers }) => headers['content-range'])).toEqual([`${length >> 1}-${sizeOf(large.diffId) - 1}`]);
  });

  test('that breaks again when it is taken up starts anew', async () => {
    registry.cuts = [length >> 1, 10];
    await push();
    expectPushed();
    expect(registry.requests('PATCH')).toHaveLength(1);
    expect(registry.requests('POST')).toHaveLength(4);
  });

  test('that breaks starts anew where the registry has forgotten it', async () => {
    registry.remembers = false;
    registry.cuts = [10, 20];
    await push();
    expectPushed();
    expect(registry.requests('PATCH')).toEqual([]);
  });

  test('that breaks each time is an error that names registry and layer', async () => {
    registry.remembers = false;
    registry.cuts = Array.from({ length: 20 }, () => 5);
    const failure = await push().catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'REGISTRY_UNAVAILABLE' });
    expect((failure as BerthError).message).toContain(registry.host);
    expect((failure as BerthError).message).toMatch(/layer sha256:/);
  });

  test('that is put together wrongly is sent anew', async () => {
    registry.cuts = [length >> 1];
    registry.intercept = ({ method, path }) => {
      if (method !== 'GET' || !path.includes('uploads')) return false;
      // What it says to have is not what it has.
      for (const session of registry.sessions.values()) session.data = Buffer.from(session.data.map((byte) => byte ^ 1));
      return false;
    };
    await push();
    expectPushed();
    expect(registry.requests('POST')).toHaveLength(4);
  });

  test('that a registry finds too long goes in pieces, no smaller than it wants', async () => {
    registry.uploadHeaders = { 'oci-chunk-min-length': String(20 * 1024 * 1024) };
    registry.intercept = ({ method, headers }, response, raw) => {
      if (method !== 'PUT' || Number(headers['content-length'] ?? '0') < 10_000) return false;
      raw.resume();
      return Boolean(response.writeHead(413).end());
    };
    await push();
    expectPushed();
    expect(registry.requests('PATCH')).toHaveLength(1);
  });

  test('follows a Location in any form, with its query', async () => {
    registry.location = (path) => `http://${registry.host}${path}`;
    await push('absolute');
    registry.location = (path) => path.slice(path.lastIndexOf('/') + 1);
    await push('relative');
    expectPushed('absolute');
    expectPushed('relative');
  });

  test.each([429, 500, 502, 503])('that is answered with %s for a while only costs time', async (status) => {
    let left = 2;
    registry.intercept = ({ method }, response, raw) => {
      if (method === 'HEAD' || method === 'GET' || left === 0) return false;
      left -= 1;
      raw.resume();
      return Boolean(response.writeHead(status, { 'retry-after': '0' }).end());
    };
    await push();
    expectPushed();
  });

  test('that the registry does not take any more is begun anew', async () => {
    // More than sockets swallow.
    putImage(source, 'app', 'v2', [makeLayer({ huge: randomBytes(12 * 1024 * 1024).toString('latin1') })]);
    image = await rig.pull(`${source.host}/app:v2`);
    namesAfter = image.names;
    rig.progressTimeout = 1000;
    pusher = newPusher();
    let stalls = 0;
    registry.intercept = ({ method, headers }, _, raw) => {
      if (method !== 'PUT' || Number(headers['content-length'] ?? '0') < 1_000_000 || stalls > 0) return false;
      stalls += 1;
      raw.pause();
      return true;
    };
    await push();
    expect(stalls).toBe(1);
    expect(registry.blobs.has(`copy ${manifestOf().layers[0]?.digest}`)).toBe(true);
  }, 60_000);

  test('may take long to be stored', async () => {
    rig.progressTimeout = 2000;
    pusher = newPusher();
    registry.storingTakes = 2500;
    await push();
    expectPushed();
    expect(registry.requests('PUT', /uploads/)).toHaveLength(3);
  }, 60_000);

  test('to a repository that is not there says so', async () => {
    registry.intercept = ({ method }, response) => method === 'POST' && Boolean(response.writeHead(404).end(JSON.stringify({ errors: [{ code: 'NAME_UNKNOWN', message: 'no such repository' }] })));
    await expect(push()).rejects.toMatchObject({ code: 'REGISTRY_NOT_FOUND', message: expect.stringContaining('create the repository') as string });
    expect(registry.requests('POST').length).toBeLessThanOrEqual(2);
  });
});

describe('credentials', () => {
  const auth = { credentials: { kind: 'basic', username: 'user', password: 'secret' }, serverHost: '' } as const;
  const header = `Basic ${Buffer.from('user:secret').toString('base64')}`;

  const challenge = (): void => {
    registry.intercept = ({ headers }, response, raw) => {
      if (headers.authorization === header) return false;
      raw.resume();
      return Boolean(response.writeHead(401, { 'www-authenticate': 'Basic realm="test"' }).end());
    };
  };

  test('are sent where they are asked for', async () => {
    challenge();
    await pushTo(`${registry.host}/copy:v1`, { auth });
    expectPushed();
    await expect(push('other')).rejects.toMatchObject({ code: 'REGISTRY_DENIED' });
  });

  test('do not go to another server that uploads are sent to', async () => {
    challenge();
    const other = await PushRegistry.start();
    try {
      other.intercept = (_, response, raw) => {
        raw.resume();
        return Boolean(response.writeHead(401, { 'www-authenticate': 'Basic realm="other"' }).end());
      };
      registry.location = (path) => `http://${other.host}${path}`;
      await expect(pushTo(`${registry.host}/copy:v1`, { auth })).rejects.toMatchObject({ code: 'REGISTRY_DENIED' });
      expect(other.seen.length).toBeGreaterThan(0);
      for (const { headers } of other.seen) expect(headers.authorization).toBeUndefined();
    } finally {
      await other.stop();
    }
  });

  test('a token is asked for to push, and for each repository to mount from', async () => {
    await rig.store.tag(image.id, `${registry.host}/origin:v1`);
    image = rig.store.index.byId(image.id) ?? image;
    namesAfter = image.names;
    const scopes: string[] = [];
    source.intercept = ({ path, query }, response) => {
      if (path !== '/token') return false;
      scopes.push(query.getAll('scope').toSorted().join(' '));
      return Boolean(response.end(JSON.stringify({ token: `t${scopes.length}` })));
    };
    const realm = `Bearer realm="http://${source.host}/token",service="test",scope="repository:copy:pull"`;
    registry.intercept = ({ headers }, response) => headers.authorization === undefined && Boolean(response.writeHead(401, { 'www-authenticate': realm }).end());
    await push();
    expect([...new Set(scopes)].toSorted()).toEqual(['repository:copy:pull,push', 'repository:copy:pull,push repository:origin:pull']);
  });
});

describe('the mirror file', () => {
  test('names the host to push to', async () => {
    await rig.hosts('far.example', `server = "http://nowhere.invalid"\n[host."http://${source.host}"]\ncapabilities = ["pull", "resolve"]\n[host."http://${registry.host}"]\ncapabilities = ["push"]\n`);
    await pushTo('far.example/copy:v1');
    expectPushed();
    expect(registry.seen[0]?.query.get('ns')).toBe('far.example');
  });

  test('may name none', async () => {
    await rig.hosts('far.example', `server = "http://${registry.host}"\ncapabilities = ["pull", "resolve"]\n`);
    await expect(pushTo('far.example/copy:v1')).rejects.toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining('"push"') as string });
  });
});
