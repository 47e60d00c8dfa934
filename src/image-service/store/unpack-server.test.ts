/** Against berth-unpack itself where it is built; what it does with layers is tested in native/tests. */

import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { UnpackServer } from './unpack-server.ts';

const program = fileURLToPath(new URL('../../../dist/berth-unpack', import.meta.url));
const built = existsSync(program) && process.getuid?.() === 0;
const never = new AbortController().signal;
const log = pino({ level: 'silent' });

let directory: string;
let server: UnpackServer;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'berth-serve-'));
  server = new UnpackServer({ program, socket: join(directory, 's'), log });
});

afterEach(async () => {
  await server.close();
  await rm(directory, { recursive: true, force: true });
});

/** A tar of nothing. */
async function* emptyTar(): AsyncGenerator<Buffer, void, undefined> {
  yield Buffer.alloc(10_240);
}

async function* endless(): AsyncGenerator<Buffer, void, undefined> {
  for (;;) {
    yield Buffer.alloc(65_536, 1);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

async function destination(name: string): Promise<string[]> {
  const dest = join(directory, name);
  await mkdir(dest);
  return ['layer', '--dest', dest];
}

const noServer = 'dist/berth-unpack is not built, or this is not root';

test.skipIf(!built)(`a command's output and exit code come back${built ? '' : ` (skipped: ${noServer})`}`, async () => {
  expect(await server.run(['check', directory], undefined, never)).toEqual({ exitCode: 0, signal: undefined, stderr: '', stdout: expect.stringMatching(/^\{"unpackedBytes":.*\}$/) });
  const outcome = await server.run(await destination('a'), emptyTar(), never);
  expect(outcome).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/^\{"digest":"sha256:/) });
  expect(await server.run(['nonsense'], undefined, never)).toMatchObject({ exitCode: 1, stdout: expect.stringMatching(/"step":"args"/) });
});

test.skipIf(!built)('many at once do not mix', async () => {
  const places = await Promise.all(Array.from({ length: 40 }, async (_, number) => {
    const place = join(directory, `many-${number}`);
    await mkdir(place);
    await Promise.all(Array.from({ length: number }, (__, file) => writeFile(join(place, String(file)), '')));
    return place;
  }));
  const outcomes = await Promise.all(places.map((place) => server.run(['check', place], undefined, never)));
  expect(outcomes.map(({ stdout }) => Number(/"inodes":(\d+)/.exec(stdout)?.[1]))).toEqual(places.map((_, number) => number));
});

test.skipIf(!built)('a command that fails before it has read its input ends the input', async () => {
  const outcome = await server.run(await destination('refused'), endless(), never);
  expect(outcome).toMatchObject({ exitCode: 1, stdout: expect.stringMatching(/"error"/) });
});

test.skipIf(!built)('an abort ends the process before it is thrown', async () => {
  const controller = new AbortController();
  const args = await destination('aborted');
  let fed = 0;
  const input = async function* (): AsyncGenerator<Buffer, void, undefined> {
    for await (const chunk of endless()) {
      yield fed === 0 ? Buffer.alloc(1024) : chunk;
      fed += 1;
      if (fed === 3) controller.abort(new Error('enough'));
    }
  };
  await expect(server.run(args, input(), controller.signal)).rejects.toThrow('enough');
  expect((await server.run(['remove', args[2] ?? ''], undefined, never)).exitCode).toBe(0);
});

test.skipIf(!built)('a failure of the input is thrown', async () => {
  const input = async function* (): AsyncGenerator<Buffer, void, undefined> {
    yield Buffer.alloc(10);
    throw new Error('the registry is gone');
  };
  await expect(server.run(await destination('cut'), input(), never)).rejects.toThrow('the registry is gone');
});

test.skipIf(!built)('it ends when nobody needs it, and starts again when somebody does', async () => {
  await server.close();
  server = new UnpackServer({ program, socket: join(directory, 's'), log, idle: 20 });
  await server.run(['check', directory], undefined, never);
  expect((await stat(join(directory, 's'))).mode & 0o777).toBe(0o600);
  await expect.poll(() => existsSync(join(directory, 's'))).toBe(false);
  expect((await server.run(['check', directory], undefined, never)).exitCode).toBe(0);
});

test('where no server can be had, the program is run', async () => {
  const script = join(directory, 'program');
  await writeFile(script, '#!/bin/sh\n[ "$1" = serve ] && exit 3\necho "$@"\n', { mode: 0o755 });
  server = new UnpackServer({ program: script, socket: join(directory, 's'), log });
  expect(await server.run(['check', 'x'], undefined, never)).toMatchObject({ exitCode: 0, stdout: 'check x\n' });
  server = new UnpackServer({ program: script, socket: join(directory, 'long'.repeat(50)), log });
  expect(await server.run(['check', 'y'], undefined, never)).toMatchObject({ exitCode: 0, stdout: 'check y\n' });
});
