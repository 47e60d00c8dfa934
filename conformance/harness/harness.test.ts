/** The test equipment itself, against parts that are not ours: what fails here says nothing of Berth. */

import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startFaultyRegistry } from './faulty-registry.ts';
import { attributes, busybox, busyboxLayer, layered, multiPlatform } from './images.ts';
import { push } from './push.ts';
import { REGISTRY_PASSWORD, REGISTRY_USER, startRegistry } from './registry.ts';
import { startTokenServer } from './token-server.ts';
import { requireWorld } from './world.ts';

const run = promisify(execFile);
let work = '';

beforeAll(async () => {
  requireWorld();
  work = await mkdtemp(path.join(tmpdir(), 'berth-harness-'));
});
afterAll(() => rm(work, { recursive: true, force: true }));

const skopeo = (...args: string[]): Promise<{ stdout: string }> => run('skopeo', ['--insecure-policy', ...args]);

describe('images', () => {
  test('are the same, digest for digest, each time they are built', () => {
    expect(busybox().id).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(busyboxLayer().digest).not.toBe(busyboxLayer().diffId);
  });

  test('are understood by skopeo and unpacked by umoci as they are meant', async () => {
    const registry = await startRegistry();
    try {
      await push(registry, 'layered', 'latest', layered());
      await skopeo('copy', '--src-tls-verify=false', `docker://${registry.host}/layered:latest`, `oci:${work}/layout:latest`);
      await run('umoci', ['raw', 'unpack', '--image', `${work}/layout:latest`, `${work}/rootfs`]);
      const read = (name: string): Promise<string> => readFile(path.join(work, 'rootfs/data', name), 'utf8');
      expect(await read('kept')).toBe('base\n');
      expect(await read('removed')).toBe('back again\n');
      expect(await read('replaced')).toBe('middle\n');
      expect(await read('to-file')).toBe('a file now\n');
      expect(await read('emptied/new')).toBe('middle\n');
      await expect(read('emptied/old')).rejects.toThrow('ENOENT');
      await expect(read('gone/file')).rejects.toThrow('ENOENT');
    } finally {
      await registry.stop();
    }
  });

  test('carry ownership, modes, times and extended attributes', async () => {
    const registry = await startRegistry();
    try {
      await push(registry, 'attributes', 'latest', attributes());
      await skopeo('copy', '--src-tls-verify=false', `docker://${registry.host}/attributes:latest`, `oci:${work}/layout2:latest`);
      await run('umoci', ['raw', 'unpack', '--image', `${work}/layout2:latest`, `${work}/rootfs2`]);
      const at = (name: string): string => path.join(work, 'rootfs2/attr', name);
      expect((await stat(at('setuid'))).mode & 0o7777).toBe(0o4755);
      expect(await stat(at('owned'))).toMatchObject({ uid: 1001, gid: 2001 });
      expect((await stat(at('old'))).mtimeMs).toBe(1_000_000_000_000);
      expect((await stat(at('linked'))).ino).toBe((await stat(at('original'))).ino);
      expect((await stat(at('long-name-'.repeat(15)))).size).toBe(1);
      expect((await stat(at('null'))).isCharacterDevice()).toBe(true);
    } finally {
      await registry.stop();
    }
  });
});

describe('registries', () => {
  test('basic authentication lets in who knows the password, and nobody else', async () => {
    const registry = await startRegistry({ kind: 'basic' });
    try {
      const digest = await push(registry, 'private', 'latest', multiPlatform());
      const reference = `docker://${registry.host}/private:latest`;
      const creds = `${REGISTRY_USER}:${REGISTRY_PASSWORD}`;
      const { stdout } = await skopeo('inspect', '--tls-verify=false', '--creds', creds, '--format', '{{.Digest}}', reference);
      expect(stdout.trim()).toBe(digest);
      await expect(skopeo('inspect', '--tls-verify=false', '--no-creds', reference)).rejects.toThrow('authentication required');
    } finally {
      await registry.stop();
    }
  });

  test('tokens are asked for and accepted', async () => {
    const tokens = await startTokenServer({ anonymous: false });
    const registry = await startRegistry(tokens.auth);
    try {
      const target = { url: registry.url, authorization: tokens.pushAuthorization('private') };
      const digest = await push(target, 'private', 'latest', busybox());
      const reference = `docker://${registry.host}/private:latest`;
      const creds = `${REGISTRY_USER}:${REGISTRY_PASSWORD}`;
      const { stdout } = await skopeo('inspect', '--tls-verify=false', '--creds', creds, '--format', '{{.Digest}}', reference);
      expect(stdout.trim()).toBe(digest);
      expect(tokens.requests.at(-1)).toContain('scope=repository%3Aprivate%3Apull');
      await expect(skopeo('inspect', '--tls-verify=false', '--creds', 'berth:wrong', reference)).rejects.toThrow();
    } finally {
      await registry.stop();
      await tokens.stop();
    }
  });

  test('the faulty one cuts, corrupts, redirects and lies as it is told', async () => {
    const registry = await startRegistry();
    const faulty = await startFaultyRegistry(registry.url);
    try {
      await push(registry, 'image', 'latest', busybox());
      const blob = `${faulty.url}/v2/image/blobs/${busyboxLayer().digest}`;
      const fetched = async (): Promise<Buffer> => Buffer.from(await (await fetch(blob)).arrayBuffer());
      expect((await fetched()).equals(busyboxLayer().bytes)).toBe(true);
      faulty.setRules({ path: /blobs/, fault: { kind: 'corrupt', at: 1000 }, times: 1 });
      const corrupted = await fetched();
      expect(corrupted.length).toBe(busyboxLayer().bytes.length);
      expect(corrupted.equals(busyboxLayer().bytes)).toBe(false);
      expect((await fetched()).equals(busyboxLayer().bytes)).toBe(true);
      faulty.setRules({ path: /blobs/, fault: { kind: 'cut', after: 1000 } });
      await expect(fetched()).rejects.toThrow('terminated');
      faulty.setRules({ path: /manifests/, fault: { kind: 'answer', status: 200, body: 'no JSON' } });
      expect(await (await fetch(`${faulty.url}/v2/image/manifests/latest`)).text()).toBe('no JSON');
    } finally {
      await faulty.stop();
      await registry.stop();
    }
  });
});
