/** The whole service on real parts: berth-unpack, docker-registry, and an image pushed by skopeo. */

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../telemetry/clock.ts';
import type { CallContext } from '../telemetry/call-context.ts';
import { digestOf } from './digest.ts';
import { createImageService } from './image-service.ts';
import type { ImageService } from './image-service.ts';
import { makeLayer } from './testing/image-maker.ts';
import { writeOciLayout } from './testing/oci-layout.ts';
import type { LayoutLayer } from './testing/oci-layout.ts';
import { startRegistryServer } from './testing/registry-server.ts';
import type { RegistryServer } from './testing/registry-server.ts';

const run = promisify(execFile);
const unpackProgram = join(import.meta.dirname, '../../dist/berth-unpack');
const registryProgram = '/usr/bin/docker-registry';
const missing = [unpackProgram, registryProgram, '/usr/bin/skopeo'].filter((path) => !existsSync(path));
const onRealParts = test.skipIf(missing.length > 0 || process.getuid?.() !== 0);

let directory: string;
let registry: RegistryServer;
let service: ImageService;
const context: CallContext = { signal: new AbortController().signal, log: pino({ level: 'silent' }), requestId: 'test' };
const spec = (image: string) => ({ image, annotations: {}, user_specified_image: '', runtime_handler: '', image_ref: '' });

function open(): Promise<ImageService> {
  return createImageService({
    root: join(directory, 'root'),
    containersDir: join(directory, 'root', 'containers'),
    unpackProgram,
    registry: { configDir: join(directory, 'certs.d'), dockerCertsDir: '', authFile: '', maxConcurrentDownloads: 3, maxConcurrentUnpacks: 2, maxConcurrentPerPull: 2, attempts: 4, retryDelayMilliseconds: 250, progressTimeoutSeconds: 30 },
    log: pino({ level: 'silent' }),
    clock: systemClock(),
    environment: {},
  });
}

beforeEach(async () => {
  if (missing.length > 0) return;
  directory = await mkdtemp(join(tmpdir(), 'berth-image-service-'));
  registry = await startRegistryServer(registryProgram);
  await mkdir(join(directory, 'certs.d', registry.host), { recursive: true });
  await writeFile(join(directory, 'certs.d', registry.host, 'hosts.toml'), `server = "http://${registry.host}"\n`);
  service = await open();
});

afterEach(async () => {
  if (missing.length > 0) return;
  await service.close();
  await registry.stop();
  await rm(directory, { recursive: true, force: true });
});

async function push(name: string, layers: readonly LayoutLayer[], config: Readonly<Record<string, unknown>>): Promise<{ id: string; manifestDigest: string }> {
  const layout = join(directory, `layout-${name}`);
  const written = await writeOciLayout(layout, layers, config);
  await run('skopeo', ['copy', '--insecure-policy', '--dest-tls-verify=false', `oci:${layout}:latest`, `docker://${registry.host}/${name}:v1`]);
  return written;
}

const text = makeLayer({ 'etc-motd': 'hello' });
const second = makeLayer({ 'second-file': 'x'.repeat(100_000) });
const gzipLayer = { packed: gzipSync(text.tar), diffId: text.diffId, mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip' };
const zstdLayer = { packed: zstdCompressSync(second.tar), diffId: second.diffId, mediaType: 'application/vnd.oci.image.layer.v1.tar+zstd' };

onRealParts('an image goes from skopeo through the registry into the store and away again', async () => {
  const pushed = await push('app', [gzipLayer, zstdLayer], { User: '1000:1000', Cmd: ['/bin/sh'], Env: ['A=b'] });
  const name = `${registry.host}/app:v1`;
  const pulled = await service.handlers.PullImage({ image: spec(name), auth: null, sandbox_config: null }, context);
  expect(pulled.image_ref).toBe(pushed.id);

  const { image, info } = await service.handlers.ImageStatus({ image: spec(name), verbose: true }, context);
  expect(image).toMatchObject({
    id: pushed.id,
    repo_tags: [name],
    repo_digests: [`${registry.host}/app@${pushed.manifestDigest}`],
    uid: { value: '1000' },
    username: '',
    pinned: false,
  });
  expect(JSON.parse(info?.['info'] ?? '{}')).toMatchObject({ imageSpec: { config: { Cmd: ['/bin/sh'] } } });

  const resolved = service.provider.resolve(pushed.id.slice('sha256:'.length, 20));
  expect(resolved?.config).toMatchObject({ cmd: ['/bin/sh'], env: ['A=b'], user: '1000:1000' });
  const [top = '', bottom = ''] = resolved?.layers ?? [];
  expect((await stat(join(top, 'second-file'))).size).toBe(100_000);
  expect(await readFile(join(bottom, 'etc-motd'), 'utf8')).toBe('hello');

  const usage = async () => (await service.handlers.ImageFsInfo({}, context)).image_filesystems?.[0];
  expect((await usage())?.fs_id?.mountpoint).toBe(join(directory, 'root'));
  expect(Number((await usage())?.used_bytes?.value)).toBeGreaterThan(100_000);

  await service.handlers.RemoveImage({ image: spec(name) }, context);
  expect((await service.handlers.ListImages({ filter: null }, context)).images).toEqual([]);
  expect(await usage()).toMatchObject({ used_bytes: { value: '0' }, inodes_used: { value: '0' } });
  expect(await readdir(join(directory, 'root', 'layers', 'sha256'))).toEqual([]);
  await service.handlers.RemoveImage({ image: spec(name) }, context);
});

onRealParts('a restarted service lists what was pulled', async () => {
  const pushed = await push('app', [gzipLayer], {});
  await service.handlers.PullImage({ image: spec(`${registry.host}/app:v1`), auth: null, sandbox_config: null }, context);
  const before = await service.handlers.ListImages({ filter: null }, context);
  await service.close();
  service = await open();
  expect(await service.handlers.ListImages({ filter: null }, context)).toEqual(before);
  expect(before.images?.[0]?.id).toBe(pushed.id);
});

onRealParts('a layer that leads out of its directory is refused and leaves nothing', async () => {
  const evil = makeLayer({ '../escaped': 'x' });
  await push('evil', [{ packed: gzipSync(evil.tar), diffId: digestOf(evil.tar), mediaType: gzipLayer.mediaType }], {});
  const pull = service.handlers.PullImage({ image: spec(`${registry.host}/evil:v1`), auth: null, sandbox_config: null }, context);
  await expect(pull).rejects.toThrow(expect.objectContaining({ code: 'LAYER_REFUSED' }));
  expect(await readdir(join(directory, 'root', 'staging'))).toEqual([]);
  expect(await readdir(join(directory, 'root', 'layers', 'sha256'))).toEqual([]);
});
