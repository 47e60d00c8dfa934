import { afterEach, beforeEach, expect, test } from 'vitest';
import { createImageProvider } from './provider.ts';
import { topmostFirst } from './store/directories-layer.ts';
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

test('a resolved image has its run configuration and its layers topmost first', async () => {
  const [bottom, top] = [makeLayer({ bottom: '1' }), makeLayer({ top: '2' })];
  const config = { User: 'u', Env: ['A=1'], Entrypoint: ['/e'], Cmd: ['c'], WorkingDir: '/w', Volumes: { '/v': {} }, StopSignal: 'SIGQUIT', Labels: { l: '1' } };
  const made = putImage(registry, 'app', 'v1', [bottom, top], { config });
  await rig.pull(`${registry.host}/app:v1`);
  const image = createImageProvider(rig.store).resolve(`${registry.host}/app:v1`);
  expect(image).toEqual({
    id: made.id,
    repoTags: [`${registry.host}/app:v1`],
    repoDigests: [`${registry.host}/app@${made.manifestDigest}`],
    config: { user: 'u', env: ['A=1'], entrypoint: ['/e'], cmd: ['c'], workingDir: '/w', volumes: ['/v'], stopSignal: 'SIGQUIT', labels: { l: '1' } },
    layers: [top, bottom].map(({ diffId }) => rig.store.layers.tree(diffId)),
  });
});

test('an image config that is null where it may be', async () => {
  const config = { User: null, Env: null, Entrypoint: null, Cmd: null, Volumes: null, Labels: null };
  putImage(registry, 'app', 'v1', [], { config: config as unknown as Record<string, unknown> });
  await rig.pull(`${registry.host}/app:v1`);
  expect(createImageProvider(rig.store).resolve(`${registry.host}/app:v1`)?.config).toMatchObject({ user: '', env: [], volumes: [], labels: {} });
});

test('an image that is not stored is undefined', () => {
  expect(createImageProvider(rig.store).resolve('busybox')).toBeUndefined();
});

test('a layer that occurs twice counts where it is topmost', () => {
  expect(topmostFirst(['a', 'b', 'a', 'c'])).toEqual(['c', 'a', 'b']);
});
