/** The unpacker's contract, with shell scripts in the place of berth-unpack. */

import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createUnpacker } from './unpacker.ts';
import type { UnpackCpu } from './unpacker.ts';

let directory: string;
const never = new AbortController().signal;
const digest = `sha256:${'a'.repeat(64)}`;
const report = { digest, diffId: digest, size: 3, tarBytes: 10, unpackedBytes: 4, inodes: 5, skeletonBytes: 6, contentBytes: 3, implied: 0 };
const place = { tree: '/dest', skeleton: '/skeleton' };

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'berth-unpacker-'));
});

afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

const said = JSON.stringify({ ...report, cpu: { decompress: 1000, hash: 2000, user: 4000, kernel: 5000 } });

async function program(script: string): Promise<string> {
  const path = join(directory, 'program');
  await writeFile(path, `#!/bin/sh\nPATH=/bin:/usr/bin\n${script}\n`);
  await chmod(path, 0o755);
  return path;
}

async function* input(...chunks: string[]): AsyncGenerator<Buffer, void, undefined> {
  for (const chunk of chunks) yield Buffer.from(chunk);
}

async function layer(script: string, from = input('abc'), signal = never): Promise<unknown> {
  return createUnpacker({ program: await program(script) }).layer(place, from, 'the layer', signal);
}

const failing = (error: object): string => `echo '${JSON.stringify({ error })}'; exit 1`;

describe('layer', () => {
  test('the stream goes in and the report comes back', async () => {
    const result = await layer(`echo "$@" > ${directory}/args; cat > ${directory}/in; echo '${said}'`, input('ab', 'c'));
    expect(result).toEqual(report);
    expect(await readFile(join(directory, 'in'), 'utf8')).toBe('abc');
    expect(await readFile(join(directory, 'args'), 'utf8')).toBe('layer --dest /dest --skeleton /skeleton\n');
  });

  test('where the processor time went is told, in seconds', async () => {
    const spent: UnpackCpu[] = [];
    await createUnpacker({ program: await program(`cat > /dev/null; echo '${said}'`), spent: (cpu) => void spent.push(cpu) }).layer(place, input(), 'x', never);
    expect(spent).toEqual([{ decompress: 0.001, hash: 0.002, other: 0.001, kernel: 0.005 }]);
  });

  test('limits are passed on', async () => {
    const path = await program(`echo "$@" > ${directory}/args; cat > /dev/null; echo '${said}'`);
    await createUnpacker({ program: path, limits: { maxBytes: 10, maxEntries: 20 } }).layer(place, input(), 'x', never);
    expect(await readFile(join(directory, 'args'), 'utf8')).toBe('layer --dest /dest --skeleton /skeleton --max-bytes 10 --max-entries 20\n');
  });

  test.each([
    ['write', 'ENOSPC', 'DISK_FULL'],
    ['entry', 'EDQUOT', 'DISK_FULL'],
    ['entry', 'EXDEV', 'LAYER_REFUSED'],
    ['archive', '', 'LAYER_REFUSED'],
    ['decompress', '', 'LAYER_REFUSED'],
    ['limit', 'EFBIG', 'LAYER_REFUSED'],
    ['entry', 'EIO', 'UNPACK_FAILED'],
    ['write', 'EIO', 'UNPACK_FAILED'],
    ['args', 'EINVAL', 'UNPACK_FAILED'],
  ])('step %s with %s is %s', async (step, errnoName, code) => {
    const error = { step, path: '../x', errno: 1, errnoName, message: 'no good' };
    await expect(layer(`cat > /dev/null; ${failing(error)}`)).rejects.toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(`the layer: ${step} "../x": no good`) }),
    );
  });

  test('a limit is named by its setting', async () => {
    const error = { step: 'limit', path: '', errno: 27, errnoName: 'EFBIG', message: 'the layer has more than 9 entries (--max-entries)' };
    await expect(layer(`cat > /dev/null; ${failing(error)}`)).rejects.toThrow(/more than 9 entries, the limit set by images\.max_layer_entries, EFBIG/);
  });

  test('a program that stops reading is told by its report', async () => {
    const big = async function* (): AsyncGenerator<Buffer, void, undefined> {
      for (let chunk = 0; chunk < 200; chunk += 1) yield Buffer.alloc(65_536);
    };
    const error = { step: 'entry', path: 'x', errno: 0, errnoName: '', message: 'no' };
    await expect(layer(`exec <&-; ${failing(error)}`, big())).rejects.toThrow(expect.objectContaining({ code: 'LAYER_REFUSED' }));
  });

  test.each([
    ['nothing', 'cat > /dev/null', /report is not understood/],
    ['half a report', `cat > /dev/null; echo '{"digest":"${digest}"}'`, /report is not understood/],
    ['a death', 'echo oops >&2; kill -9 $$', /signal SIGKILL: oops/],
    ['an exit without report', 'echo oops >&2; exit 3', /exit code 3: oops/],
  ])('%s is a failure', async (_, script, message) => {
    await expect(layer(script)).rejects.toThrow(expect.objectContaining({ code: 'UNPACK_FAILED', message: expect.stringMatching(message) }));
  });

  test('a program that does not exist is a failure', async () => {
    const unpacker = createUnpacker({ program: '/nowhere/berth-unpack' });
    await expect(unpacker.layer(place, input('x'), 'x', never)).rejects.toThrow(expect.objectContaining({ code: 'UNPACK_FAILED' }));
  });

  test('a failure of the input ends the program and is the failure', async () => {
    const broken = async function* (): AsyncGenerator<Buffer, void, undefined> {
      yield Buffer.from('x');
      throw Object.assign(new Error('connection lost'), { name: 'Lost' });
    };
    await expect(layer(`cat > /dev/null; exec sleep 600`, broken())).rejects.toThrow(/connection lost/);
  });

  test('an abort ends the program, which is gone then', async () => {
    const controller = new AbortController();
    const endless = async function* (): AsyncGenerator<Buffer, void, undefined> {
      yield Buffer.from('x');
      controller.abort();
      yield Buffer.from('y');
    };
    await expect(layer(`echo $$ > ${directory}/pid; exec cat`, endless(), controller.signal)).rejects.toThrow(
      expect.objectContaining({ name: 'AbortError' }),
    );
    const pid = await readFile(join(directory, 'pid'), 'utf8').catch(() => '');
    if (pid !== '') expect(() => process.kill(Number(pid), 0)).toThrow();
  });
});

describe('pack', () => {
  const pack = async (script: string): Promise<string> => {
    let tar = '';
    for await (const chunk of createUnpacker({ program: await program(script) }).pack(place, 'the layer', never)) tar += chunk.toString();
    return tar;
  };

  test('its output is the tar', async () => {
    expect(await pack(`echo "$@" > ${directory}/args; printf tar`)).toBe('tar');
    expect(await readFile(join(directory, 'args'), 'utf8')).toBe('pack /dest /skeleton\n');
  });

  test.each([
    ['tree', 'ESTALE', 'LAYER_DAMAGED'],
    ['tree', 'ENOENT', 'LAYER_DAMAGED'],
    ['args', 'ENOENT', 'LAYER_DAMAGED'],
    ['skeleton', 'EBADMSG', 'LAYER_DAMAGED'],
    ['write', 'EIO', 'LAYER_DAMAGED'],
    ['skeleton', 'ENOMEM', 'UNPACK_FAILED'],
    ['tree', 'EMFILE', 'UNPACK_FAILED'],
    ['write', 'EPIPE', 'UNPACK_FAILED'],
  ])('step %s with %s is %s', async (step, errnoName, code) => {
    const error = { step, path: 'x', errno: 1, errnoName, message: 'no good' };
    await expect(pack(`printf half; echo '${JSON.stringify({ error })}' >&2; exit 1`)).rejects.toThrow(expect.objectContaining({ code }));
  });

  test('a program that is killed says nothing about the layer', async () => {
    await expect(pack('kill -9 $$')).rejects.toThrow(expect.objectContaining({ code: 'UNPACK_FAILED' }));
  });
});
