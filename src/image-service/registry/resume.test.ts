/** Connections that break, servers that cannot go on where they broke, and servers that are slow. */

import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseReference } from '../reference.ts';
import { FakeRegistry } from '../testing/fake-registry.ts';
import type { SeenRequest } from '../testing/fake-registry.ts';
import { makeLayer, putImage } from '../testing/image-maker.ts';
import { ImageRig, quickRetry } from '../testing/image-rig.ts';
import { BlobStream } from './blob-stream.ts';
import type { PullAuth } from './credentials.ts';
import { hostPlatform } from './platform.ts';
import { resolveImage } from './resolve.ts';
import type { RemoteImage } from './resolve.ts';
import { RegistrySession } from './session.ts';

const layer = makeLayer({ file: 'some content', other: 'some more' });
const size = layer.packed.length;
const never = new AbortController().signal;
let registry: FakeRegistry;
let rig: ImageRig;

beforeEach(async () => {
  [registry, rig] = await Promise.all([FakeRegistry.start(), ImageRig.create()]);
  putImage(registry, 'app', 'v1', [layer]);
  await rig.plainHttp(registry.host);
});

afterEach(async () => {
  await rig.close();
  await registry.stop();
});

/** What a pull reads, without a store. */
async function read(auth?: PullAuth): Promise<{ readonly remote: RemoteImage; readonly content: Buffer }> {
  const session = await RegistrySession.open(parseReference(`${registry.host}/app:v1`), auth, rig.sessionOptions, never);
  try {
    const remote = await resolveImage(session, parseReference(`${registry.host}/app:v1`), hostPlatform(), never);
    const [first] = remote.layers;
    if (first === undefined) throw new Error('the image has a layer');
    const chunks: Buffer[] = [];
    for await (const chunk of new BlobStream(session.sources(first.descriptor), first.descriptor, 'layer', quickRetry).chunks(never)) chunks.push(chunk);
    return { remote, content: Buffer.concat(chunks) };
  } finally {
    await session.close();
  }
}

const isLayer = ({ path }: SeenRequest): boolean => path.endsWith(layer.digest);
const layerRequests = (): readonly SeenRequest[] => registry.seen.filter(isLayer);

function cutAt(response: ServerResponse, body: Buffer, after: number, headers: Record<string, string> = {}): true {
  response.writeHead(200, { 'content-length': String(body.length), ...headers });
  response.write(body.subarray(0, after), () => response.destroy());
  return true;
}

/** Answers the first request for the layer with its first `after` bytes, the others with `then`. */
function cutOnce(after: number, then: (request: SeenRequest, response: ServerResponse) => boolean): void {
  registry.intercept = (request, response) => {
    if (!isLayer(request)) return false;
    return layerRequests().length === 1 ? cutAt(response, layer.packed, after) : then(request, response);
  };
}

test('cut after any byte, once, manifest, config and layer come whole', async () => {
  const whole = await read();
  const bodies = new Map([
    ['/v2/app/manifests/v1', whole.remote.documents[0]?.content ?? Buffer.alloc(0)],
    [`/v2/app/blobs/${whole.remote.config.digest}`, whole.remote.documents[1]?.content ?? Buffer.alloc(0)],
    [`/v2/app/blobs/${layer.digest}`, layer.packed],
  ]);
  const longest = Math.max(...[...bodies.values()].map(({ length }) => length));
  for (let after = 0; after <= longest; after += 1) {
    registry.seen.length = 0;
    registry.intercept = ({ path }, response) => {
      const body = bodies.get(path);
      const isFirst = registry.requests(/./).filter((seen) => seen.path === path).length === 1;
      return body !== undefined && isFirst && after < body.length ? cutAt(response, body, after) : false;
    };
    expect((await read()).content.equals(layer.packed)).toBe(true);
    for (const [path, { length }] of bodies) {
      expect([path, after, registry.seen.filter((seen) => seen.path === path).length]).toEqual([path, after, after < length ? 2 : 1]);
    }
  }
}, 60_000);

describe('the rest of a layer', () => {
  test('is asked for, not the whole', async () => {
    cutOnce(100, () => false);
    expect((await read()).content.equals(layer.packed)).toBe(true);
    expect(layerRequests()[1]?.headers.range).toMatch(new RegExp(`^bytes=[1-9][0-9]*-${size - 1}$`));
  });

  test.each<[string, (request: SeenRequest, response: ServerResponse) => boolean, number]>([
    ['answers with all of it (200)', (_, response) => Boolean(response.writeHead(200, { 'content-length': String(size) }).end(layer.packed)), 2],
    ['cannot go on there (416)', (request, response) => (request.headers.range === undefined ? false : Boolean(response.writeHead(416).end())), 3],
    [
      'begins earlier than asked',
      (_, response) => Boolean(response.writeHead(206, { 'content-length': String(size - 1), 'content-range': `bytes 1-${size - 1}/${size}` }).end(layer.packed.subarray(1))),
      2,
    ],
    [
      'goes on in an encoding of its own',
      (request, response) => {
        if (request.headers.range === undefined) return false;
        return Boolean(response.writeHead(206, { 'content-encoding': 'gzip', 'content-range': `bytes 60-70/80` }).end('whatever'));
      },
      3,
    ],
  ])('from a server that %s', async (_, then, requests) => {
    cutOnce(60, then);
    expect((await read()).content.equals(layer.packed)).toBe(true);
    expect(layerRequests()).toHaveLength(requests);
  });

  test.each([
    ['begins later', { 'content-range': `bytes 90-${size - 1}/${size}`, 'content-length': String(size - 90) }],
    ['ends elsewhere', { 'content-range': `bytes 60-${size}/${size + 1}`, 'content-length': String(size - 59) }],
    ['does not say where it begins', { 'content-length': String(size - 60) }],
  ])('is refused when it %s', async (_, headers) => {
    cutOnce(60, (_request, response) => Boolean(response.writeHead(206, headers).end(layer.packed.subarray(60))));
    await expect(read()).rejects.toThrow(expect.objectContaining({ code: 'DIGEST_MISMATCH' }));
  });

  test('takes a new token when the first has expired meanwhile', async () => {
    const credentials = { kind: 'basic', username: 'u', password: 'p' } as const;
    let good = 'Bearer one';
    const challenge = { 'www-authenticate': `Bearer realm="http://${registry.host}/token",service="s",error="invalid_token"` };
    registry.intercept = (request, response) => {
      if (request.path === '/token') return Boolean(response.end(JSON.stringify({ token: good.replace('Bearer ', '') })));
      if (request.headers.authorization !== good) return Boolean(response.writeHead(401, challenge).end());
      if (!isLayer(request) || good === 'Bearer two') return false;
      good = 'Bearer two';
      return cutAt(response, layer.packed, 60);
    };
    expect((await read({ credentials, serverHost: '' })).content.equals(layer.packed)).toBe(true);
    expect(registry.requests(/token/)).toHaveLength(2);
    expect(layerRequests().slice(-1)).toMatchObject([{ headers: { authorization: 'Bearer two', range: expect.stringContaining('bytes=') as string } }]);
  });
});

describe('a length that lies', () => {
  const answerLayer = (headers: Record<string, string>, ...parts: readonly Buffer[]): void => {
    registry.intercept = (request, response) => {
      if (!isLayer(request)) return false;
      response.writeHead(200, headers);
      for (const part of parts) response.write(part);
      response.end();
      return true;
    };
  };

  test.each([
    ['shorter, and says so', { 'content-length': String(size - 1) }, layer.packed.subarray(0, -1), 'DIGEST_MISMATCH'],
    ['longer, and says so', { 'content-length': String(size + 1) }, Buffer.concat([layer.packed, Buffer.from('x')]), 'DIGEST_MISMATCH'],
    ['longer, without a length', { 'transfer-encoding': 'chunked' }, Buffer.concat([layer.packed, Buffer.from('x')]), 'DIGEST_MISMATCH'],
    ['always shorter, without a length', { 'transfer-encoding': 'chunked' }, layer.packed.subarray(0, -1), 'REGISTRY_UNAVAILABLE'],
  ])('%s', async (_, headers, body, code) => {
    answerLayer(headers, body);
    await expect(read()).rejects.toThrow(expect.objectContaining({ code }));
  });

  test('a server that sends no length is believed for what it sends', async () => {
    answerLayer({ 'transfer-encoding': 'chunked' }, layer.packed.subarray(0, 7), layer.packed.subarray(7));
    expect((await read()).content.equals(layer.packed)).toBe(true);
  });
});

describe('a layer that is encoded on its way', () => {
  const encode = (headers: Record<string, string>, body: Buffer): void => {
    registry.intercept = (request, response) => isLayer(request) && Boolean(response.writeHead(200, headers).end(body));
  };

  test('is decoded', async () => {
    const body = gzipSync(layer.packed);
    encode({ 'content-encoding': 'gzip', 'content-length': String(body.length) }, body);
    expect((await read()).content.equals(layer.packed)).toBe(true);
    expect(layerRequests()[0]?.headers['accept-encoding']).toBe('identity');
  });

  test('is taken as it is when only its own compression is meant', async () => {
    encode({ 'content-encoding': 'gzip', 'content-length': String(size) }, layer.packed);
    expect((await read()).content.equals(layer.packed)).toBe(true);
  });

  test('in something nobody knows, or not at all, is an error', async () => {
    encode({ 'content-encoding': 'rot13' }, layer.packed);
    await expect(read()).rejects.toThrow(/in the encoding "rot13"/);
    encode({ 'content-encoding': 'gzip' }, Buffer.from('not gzip'));
    await expect(read()).rejects.toThrow(/incorrect header check/);
  });
});

describe('progress', () => {
  test('a layer that drips in more slowly than the time without a byte is not given up', async () => {
    rig.progressTimeout = 1000;
    await rig.open();
    let dripping = 0;
    registry.intercept = (request, response) => {
      if (!isLayer(request)) return false;
      void (async () => {
        response.writeHead(200, { 'content-length': String(size) });
        const step = Math.ceil(size / 10);
        for (let at = 0; at < size; at += step) {
          response.write(layer.packed.subarray(at, at + step));
          dripping += 1;
          await sleep(250);
        }
        response.end();
      })();
      return true;
    };
    const started = performance.now();
    expect((await read()).content.equals(layer.packed)).toBe(true);
    expect(performance.now() - started).toBeGreaterThan(2 * rig.progressTimeout);
    expect([dripping, layerRequests().length]).toEqual([10, 1]);
  });

  test('a reader that takes long is no stall of the server', async () => {
    rig.progressTimeout = 100;
    await rig.open();
    const big = makeLayer({ big: Array.from({ length: 200_000 }, (_, n) => String.fromCharCode(33 + ((n * 7919) % 90))).join('') });
    const stored = Buffer.concat(Array.from({ length: 40 }, () => big.tar));
    registry.blob(stored);
    const session = await RegistrySession.open(parseReference(`${registry.host}/app:v1`), undefined, rig.sessionOptions, never);
    const descriptor = { mediaType: 'x', digest: registry.blob(stored), size: stored.length };
    let received = 0;
    for await (const chunk of new BlobStream(session.sources(descriptor), descriptor, 'layer', quickRetry).chunks(never)) {
      if (received === 0) await sleep(500);
      received += chunk.length;
    }
    expect(received).toBe(stored.length);
    expect(registry.requests(/blobs/)).toHaveLength(1);
    await session.close();
  });
});
