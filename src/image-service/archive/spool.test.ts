import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { buffer } from 'node:stream/consumers';
import { pack } from 'tar-stream';
import type { Header } from 'tar-stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { spoolArchive } from './spool.ts';
import type { SpooledFiles } from './spool.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'berth-spool-'));
});
afterEach(() => rm(directory, { recursive: true }));

type Entry = readonly [header: Partial<Header> & Pick<Header, 'name'>, content?: string];

async function tar(...entries: readonly Entry[]): Promise<Buffer> {
  const archive = pack();
  for (const [header, content] of entries) archive.entry(header, content ?? '');
  archive.finalize();
  return buffer(archive as AsyncIterable<Buffer> as never);
}

async function* inPieces(bytes: Buffer, size: number): AsyncGenerator<Buffer, void, undefined> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

const spool = (bytes: Buffer, size = 1000): Promise<SpooledFiles> => spoolArchive(inPieces(bytes, size), directory, new AbortController().signal);

async function contents(files: SpooledFiles): Promise<Record<string, string>> {
  const read = [...files].map(async ([name, { path }]) => [name, await readFile(path, 'utf8')] as const);
  return Object.fromEntries(await Promise.all(read));
}

describe('an archive', () => {
  const entries: readonly Entry[] = [[{ name: './a' }, 'A'], [{ name: 'd', type: 'directory' }], [{ name: 'd/b' }, 'B'.repeat(3000)]];
  const expected = { a: 'A', 'd/b': 'B'.repeat(3000) };

  test.each([1, 7, 512, 100_000])('in pieces of %i bytes', async (size) => {
    expect(await contents(await spool(await tar(...entries), size))).toEqual(expected);
  });

  test('in gzip and zstd, whatever the first piece holds', async () => {
    const bytes = await tar(...entries);
    for (const compressed of [gzipSync(bytes), zstdCompressSync(bytes)]) {
      for (const size of [1, 3, 5000]) {
        await rm(directory, { recursive: true });
        directory = await mkdtemp(join(tmpdir(), 'berth-spool-'));
        expect(await contents(await spool(compressed, size))).toEqual(expected);
      }
    }
  });

  test('with links, as docker save makes them', async () => {
    const files = await spool(await tar([{ name: 'one/layer.tar' }, 'L'], [{ name: 'two/layer.tar', type: 'symlink', linkname: '../one/layer.tar' }], [{ name: 'three', type: 'link', linkname: 'one/layer.tar' }], [{ name: 'four', type: 'symlink', linkname: '../../etc/passwd' }]));
    expect(await contents(files)).toEqual({ 'one/layer.tar': 'L', 'two/layer.tar': 'L', three: 'L' });
  });

  test('whose names lead out of it writes nothing outside', async () => {
    const files = await spool(await tar([{ name: '../../out' }, 'x'], [{ name: '/etc/absolute' }, 'y']));
    expect(await contents(files)).toEqual({ out: 'x', 'etc/absolute': 'y' });
    expect((await readdir(directory)).sort()).toEqual(['0', '1']);
  });
});

describe('refused', () => {
  test.each([
    ['text', Buffer.from('this is not an archive'.repeat(100))],
    ['half of one', undefined],
    ['half of one in gzip', null],
  ])('%s', async (_, bytes) => {
    const whole = await tar([{ name: 'a' }, 'x'.repeat(5000)]);
    const input = bytes === undefined ? whole.subarray(0, 2000) : bytes === null ? gzipSync(whole).subarray(0, 40) : bytes;
    await expect(spool(input)).rejects.toThrow(expect.objectContaining({ code: 'ARCHIVE_REFUSED' }));
  });

  test('an input that fails is not blamed on the archive', async () => {
    const broken = async function* (): AsyncGenerator<Buffer, void, undefined> {
      yield Buffer.alloc(512);
      throw Object.assign(new Error('read: connection lost'), { syscall: 'read', code: 'ECONNRESET' });
    };
    await expect(spoolArchive(broken(), directory, new AbortController().signal)).rejects.toThrow(/connection lost/);
  });

  test('an abort is what is thrown', async () => {
    const controller = new AbortController();
    const endless = async function* (): AsyncGenerator<Buffer, void, undefined> {
      const bytes = await tar([{ name: 'a' }, 'x'.repeat(5000)]);
      yield bytes.subarray(0, 1000);
      controller.abort(new Error('enough'));
      yield bytes.subarray(1000);
    };
    await expect(spoolArchive(endless(), directory, controller.signal)).rejects.toThrow('enough');
  });
});
