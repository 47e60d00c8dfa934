import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { imageFsInfo } from './fs-info.ts';
import type { ImageServiceOptions } from './options.ts';
import { diskUsage } from './testing/disk-usage.ts';
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

function options(containerUsage?: ImageServiceOptions['containerUsage']): ImageServiceOptions {
  return {
    root: rig.root,
    containersDir: join(rig.root, 'containers'),
    containerUsage,
    unpackProgram: '/nowhere',
    registry: { configDir: rig.certs, dockerCertsDir: '', authFile: '', maxConcurrentDownloads: 1, maxConcurrentUnpacks: 1, maxConcurrentPerPull: 1, attempts: 1, retryDelayMilliseconds: 1, progressTimeoutSeconds: 1 },
    log: pino({ level: 'silent' }),
    clock: { nowNanos: () => 1_700_000_000_123_456_789n },
  };
}

test('unpacked layers and documents are counted, shared ones once', async () => {
  const [one, two] = [makeLayer({ one: '1' }), makeLayer({ two: '2'.repeat(2000) })];
  putImage(registry, 'one', 'v1', [one]);
  putImage(registry, 'two', 'v1', [one, two]);
  await rig.pull(`${registry.host}/one:v1`);
  await rig.pull(`${registry.host}/two:v1`);
  const expected = diskUsage(join(rig.root, 'layers', 'sha256'), join(rig.root, 'images', 'blobs', 'sha256'));
  // Per layer: its file, the tree, the directory, the record and the skeleton; two documents per image.
  expect(expected.inodes).toBe(2 * 5 + 2 * 2);
  expect((await imageFsInfo(rig.store, options())).image_filesystems).toEqual([
    {
      timestamp: '1700000000123456789',
      fs_id: { mountpoint: rig.root },
      used_bytes: { value: String(expected.bytes) },
      inodes_used: { value: String(expected.inodes) },
    },
  ]);
});

test('the containers’ figures are the runtime’s, and left out where it has none', async () => {
  const known = await imageFsInfo(rig.store, options(() => Promise.resolve({ bytes: 5, inodes: 6 })));
  expect(known.container_filesystems).toMatchObject([{ used_bytes: { value: '5' }, inodes_used: { value: '6' } }]);
  const unknown = await imageFsInfo(rig.store, options());
  expect(unknown.container_filesystems).toMatchObject([
    { fs_id: { mountpoint: join(rig.root, 'containers') }, used_bytes: null, inodes_used: null },
  ]);
  expect(existsSync(join(rig.root, 'containers'))).toBe(true);
});
