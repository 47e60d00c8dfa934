import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startFaultyRegistry } from '../harness/faulty-registry.ts';
import type { FaultyRegistry } from '../harness/faulty-registry.ts';
import { big, dotDot, hardlinkToHost, notATar, throughSymlink, wrongDiffId } from '../harness/hostile-images.ts';
import { busybox, busyboxLayer, foreignPlatform } from '../harness/images.ts';
import { buildImage, buildLayer } from '../harness/oci-image.ts';
import type { BuiltImage } from '../harness/oci-image.ts';
import { push } from '../harness/push.ts';
import { file } from '../harness/root-fs.ts';
import { expectCode, useStage } from '../harness/stage.ts';
import { eventually } from '../harness/wait.ts';

const BIG = 4_000_000;
const ESCAPE = '/tmp/berth-escaped';

/** Has a layer that no other image has, so that it must be fetched whatever went before. */
const slow = (): BuiltImage => buildImage([buildLayer([file('slow', 'slow')])]);

const layers = (name: string, count: number): BuiltImage => buildImage(Array.from({ length: count }, (_, n) => buildLayer([file(`${name}-${n}`, `${name} ${n}`)])));
const huge = (): BuiltImage => layers('huge', 60);
const large = (): BuiltImage => layers('large', 20);
const small = (): BuiltImage => layers('small', 3);

const stage = useStage({
  images: {
    huge,
    large,
    small,
    busybox,
    foreign: foreignPlatform,
    big: () => big(BIG),
    'dot-dot': () => dotDot(`../../../../../../../..${ESCAPE}`),
    'dot-dot-inside': () => dotDot('innocent/../../../../../etc/berth-escaped'),
    'absolute-symlink': () => throughSymlink('/tmp', 'berth-escaped'),
    'relative-symlink': () => throughSymlink('../../../../../../../../tmp', 'berth-escaped'),
    'host-hardlink': () => hardlinkToHost('../../../../../../../../etc/passwd'),
    'wrong-diff-id': wrongDiffId,
    'not-a-tar': notATar,
    slow,
  },
  pulled: [],
  leaks: { images: true },
});

let faulty: FaultyRegistry;

beforeAll(async () => {
  faulty = await startFaultyRegistry(stage.registry.url);
  await stage.daemon.setRegistry(faulty.host, faulty.url);
});
beforeEach(() => faulty.setRules());
afterAll(() => faulty.stop());

const pull = (reference: string, signal?: AbortSignal): Promise<unknown> =>
  stage.cri.call('PullImage', { image: { image: reference } }, signal === undefined ? {} : { signal });
const through = (repository: string): string => `${faulty.host}/${repository}:latest`;
const expectNoImages = async (): Promise<void> => {
  expect((await stage.cri.call('ListImages', {})).images).toEqual([]);
  expect(existsSync(ESCAPE)).toBe(false);
};

describe('what the registry does not have', () => {
  test('an unknown repository or tag is NOT_FOUND, named in the message', async () => {
    await expectCode(pull(stage.ref('no-such-image')), 'NOT_FOUND', /no-such-image/);
    await expectCode(pull(stage.ref('busybox', 'no-such-tag')), 'NOT_FOUND', /no-such-tag/);
    await expectCode(pull(`${stage.registry.host}/busybox@sha256:${'0'.repeat(64)}`), 'NOT_FOUND', /0{64}/);
    await expectNoImages();
  });

  test('an image for other platforms only is NOT_FOUND', async () => {
    await expectCode(pull(stage.ref('foreign')), 'NOT_FOUND', /amd64/);
    await expectNoImages();
  });

  test('a reference that is none is INVALID_ARGUMENT', async () => {
    for (const reference of ['', 'library/UPPER', 'busybox@sha256:short', 'spaces in it']) {
      await expectCode(pull(reference), 'INVALID_ARGUMENT');
    }
  });

  test('a registry where nobody listens is UNKNOWN, for the kubelet to read RegistryUnavailable', async () => {
    await stage.daemon.setRegistry('127.0.0.1:9', 'http://127.0.0.1:9');
    await expectCode(pull('127.0.0.1:9/busybox:latest'), 'UNKNOWN', /^RegistryUnavailable: .*127\.0\.0\.1:9/);
  });
});

describe('what comes over the wire is wrong', () => {
  test('a layer that is always cut off is UNKNOWN, for the kubelet to read RegistryUnavailable', async () => {
    const path = new RegExp(`blobs/${big(BIG).layers[1]?.digest}`);
    faulty.setRules({ path, fault: { kind: 'cut', after: 500_000 }, times: 1 }, { path, fault: { kind: 'cut', after: 0 } });
    await expectCode(pull(through('big')), 'UNKNOWN', /^RegistryUnavailable: /);
    await expectNoImages();
  });

  test('a layer that is cut off once is fetched all the same', async () => {
    const path = new RegExp(`blobs/${big(BIG).layers[1]?.digest}`);
    faulty.setRules({ path, fault: { kind: 'cut', after: 500_000 }, times: 1 });
    await pull(through('big'));
    await stage.cri.call('RemoveImage', { image: { image: through('big') } });
  });

  test('a layer with a wrong digest is DATA_LOSS and named', async () => {
    const { digest } = busyboxLayer();
    faulty.setRules({ path: new RegExp(`blobs/${digest}`), fault: { kind: 'corrupt', at: 100_000 } });
    await expectCode(pull(through('busybox')), 'DATA_LOSS', new RegExp(digest));
    await expectNoImages();
  });

  test('a config with a wrong digest is DATA_LOSS and named', async () => {
    faulty.setRules({ path: new RegExp(`blobs/${busybox().id}`), fault: { kind: 'corrupt', at: 10 } });
    await expectCode(pull(through('busybox')), 'DATA_LOSS', new RegExp(busybox().id));
    await expectNoImages();
  });

  test('a manifest that is not the one asked for by digest is DATA_LOSS', async () => {
    faulty.setRules({ path: /manifests/, method: 'GET', fault: { kind: 'corrupt', at: 10 } });
    await expectCode(pull(`${faulty.host}/busybox@${busybox().manifest.digest}`), 'DATA_LOSS', new RegExp(busybox().manifest.digest));
    await expectNoImages();
  });

  test.each([
    ['not JSON', 'this is not JSON', 'application/vnd.oci.image.manifest.v1+json'],
    ['JSON of another kind', '[]', 'application/vnd.oci.image.manifest.v1+json'],
    ['without layers', '{"schemaVersion":2}', 'application/vnd.oci.image.manifest.v1+json'],
    ['of an unknown type', '{"schemaVersion":2}', 'application/vnd.example.unknown'],
  ])('a manifest that is %s is INTERNAL, with a message that says so', async (_, body, type) => {
    faulty.setRules({ path: /manifests/, fault: { kind: 'answer', status: 200, headers: { 'content-type': type }, body } });
    await expectCode(pull(through('busybox')), 'INTERNAL', /manifest/i);
    await expectNoImages();
  });

  test('a registry that only fails is UNKNOWN, for the kubelet to read RegistryUnavailable', async () => {
    faulty.setRules({ path: /manifests/, fault: { kind: 'answer', status: 503, body: 'try later' } });
    await expectCode(pull(through('busybox')), 'UNKNOWN', /^RegistryUnavailable: .*503/);
    await expectNoImages();
  });

  test('a layer whose uncompressed digest is not the config\'s is DATA_LOSS', async () => {
    await expectCode(pull(stage.ref('wrong-diff-id')), 'DATA_LOSS');
    await expectNoImages();
  });

  test('a layer that is no archive fails, and is not kept', async () => {
    const error = await pull(stage.ref('not-a-tar')).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: expect.stringMatching(/^(INVALID_ARGUMENT|INTERNAL|DATA_LOSS)$/) });
    await expectNoImages();
  });
});

describe('what would leave its directory', () => {
  test.each(['absolute-symlink', 'relative-symlink'])('%s stays inside, as a process in the container would see it', async (repository) => {
    await pull(stage.ref(repository));
    expect(existsSync(ESCAPE)).toBe(false);
    await stage.cri.call('RemoveImage', { image: { image: stage.ref(repository) } });
  });

  test.each(['dot-dot', 'dot-dot-inside', 'host-hardlink'])('%s is refused', async (repository) => {
    await expectCode(pull(stage.ref(repository)), 'INVALID_ARGUMENT');
    await expectNoImages();
    expect(existsSync('/etc/berth-escaped')).toBe(false);
  });
});

test('a cancelled pull stops and leaves no image', async () => {
  const cancel = new AbortController();
  const digest = slow().layers[0]?.digest ?? '';
  faulty.setRules({ path: new RegExp(`blobs/${digest}`), fault: { kind: 'hang' } });
  const call = pull(through('slow'), cancel.signal);
  await eventually('the layer is asked for', async () => (faulty.seen.some(({ path }) => path.includes(digest)) ? true : undefined));
  cancel.abort();
  await expectCode(call, 'CANCELLED');
  await expectNoImages();
});

test('images with many slow layers keep no place that a small image needs', async () => {
  const cancel = new AbortController();
  const slowLayers = [...huge().layers, ...large().layers].map(({ digest }) => digest);
  faulty.setRules({ path: new RegExp(`blobs/(${slowLayers.join('|')})`), fault: { kind: 'hang' } });
  const asked = ({ layers: wanted }: BuiltImage): number => faulty.seen.filter(({ path }) => wanted.some(({ digest }) => path.includes(digest))).length;
  const calls = [pull(through('huge'), cancel.signal)];
  await eventually('as many of its layers are asked for as one pull may have', async () => (asked(huge()) === 4 ? true : undefined));
  calls.push(pull(through('large'), cancel.signal));
  await eventually('and one of another', async () => (asked(large()) === 1 ? true : undefined));
  await pull(through('small'));
  expect([asked(huge()), asked(large()), asked(small())]).toEqual([4, 1, 3]);
  cancel.abort();
  for (const call of calls) await expectCode(call, 'CANCELLED');
  await stage.cri.call('RemoveImage', { image: { image: through('small') } });
  await expectNoImages();
});

test('after a failure the same image can be pulled', async () => {
  faulty.setRules({ path: /blobs/, fault: { kind: 'corrupt', at: 50 } });
  await expectCode(pull(through('busybox')), 'DATA_LOSS');
  faulty.setRules();
  await pull(through('busybox'));
  expect((await stage.cri.call('ListImages', {})).images.map(({ id }) => id)).toEqual([busybox().id]);
  await stage.cri.call('RemoveImage', { image: { image: through('busybox') } });
});

test('when a mirror is down, the next one or the registry itself is asked', async () => {
  await push(stage.registry, 'library/mirrored', 'latest', busybox());
  const directory = `${stage.daemon.directory}/certs.d/mirrored.example`;
  await mkdir(directory, { recursive: true });
  const mirror = (url: string): string => `[host."${url}"]\n  capabilities = ["pull", "resolve"]\n`;
  await writeFile(`${directory}/hosts.toml`, `server = "https://mirrored.example"\n${mirror('http://127.0.0.1:9')}${mirror(stage.registry.url)}`);
  await pull('mirrored.example/library/mirrored:latest');
  expect((await stage.cri.call('ListImages', {})).images[0]?.repo_tags).toEqual(['mirrored.example/library/mirrored:latest']);
  await stage.cri.call('RemoveImage', { image: { image: 'mirrored.example/library/mirrored:latest' } });
});
