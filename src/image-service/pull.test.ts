import { afterEach, beforeEach, expect, test } from 'vitest';
import type { AuthConfig__Output } from '../cri-server/generated/runtime/v1/AuthConfig.ts';
import { pullImage } from './pull.ts';
import { callContext, imageSpec } from './testing/call.ts';
import { FakeRegistry } from './testing/fake-registry.ts';
import { makeLayer, putImage } from './testing/image-maker.ts';
import { ImageRig } from './testing/image-rig.ts';

let registry: FakeRegistry;
let rig: ImageRig;

beforeEach(async () => {
  [registry, rig] = await Promise.all([FakeRegistry.start(), ImageRig.create()]);
  await rig.plainHttp(registry.host);
});

afterEach(async () => {
  await rig.close();
  await registry.stop();
});

function pull(image: string, auth: AuthConfig__Output | null = null, signal?: AbortSignal): ReturnType<typeof pullImage> {
  return pullImage(rig.puller, { image: imageSpec(image), auth, sandbox_config: null }, callContext(signal));
}

test('the answer is the image id', async () => {
  const made = putImage(registry, 'app', 'v1', [makeLayer({ file: 'x' })]);
  expect(await pull(`${registry.host}/app:v1`)).toEqual({ image_ref: made.id });
});

test('credentials of the request reach the registry', async () => {
  putImage(registry, 'app', 'v1', []);
  const expected = `Basic ${Buffer.from('u:p').toString('base64')}`;
  registry.intercept = (request, response) => {
    if (request.headers.authorization === expected) return false;
    return Boolean(response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end());
  };
  const none = { username: '', password: '', auth: '', server_address: '', identity_token: '', registry_token: '' };
  await expect(pull(`${registry.host}/app:v1`, none)).rejects.toThrow(expect.objectContaining({ code: 'REGISTRY_DENIED' }));
  await pull(`${registry.host}/app:v1`, { ...none, auth: Buffer.from('u:p').toString('base64') });
});

test.each([
  ['', 'INVALID_FIELD'],
  ['UPPER/case', 'REGISTRY_UNAVAILABLE'],
  ['Not A Reference', 'INVALID_REFERENCE'],
  ['0'.repeat(64), 'INVALID_REFERENCE'],
])('%j is %s', async (image, code) => {
  await rig.hosts('_default', 'server = "http://127.0.0.1:1"\n');
  await expect(pull(image)).rejects.toThrow(expect.objectContaining({ code }));
});

test('a call that is cancelled already pulls nothing', async () => {
  putImage(registry, 'app', 'v1', []);
  await expect(pull(`${registry.host}/app:v1`, null, AbortSignal.abort())).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }));
  expect(registry.seen).toEqual([]);
});

test('closing ends pulls with the reason', async () => {
  putImage(registry, 'app', 'v1', []);
  const { promise: asked, resolve } = Promise.withResolvers<void>();
  registry.intercept = () => {
    resolve();
    return true;
  };
  const pulling = pull(`${registry.host}/app:v1`);
  const outcome = pulling.catch((failure: unknown) => failure);
  await asked;
  await rig.puller.close();
  expect(await outcome).toMatchObject({ code: 'SHUTTING_DOWN' });
});
