import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { follow } from './follow.ts';

async function emptyFile(): Promise<string> {
  const directory = await mkdtemp(path.join(tmpdir(), 'follow-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const file = path.join(directory, 'output');
  await writeFile(file, '');
  return file;
}

test('what is appended arrives while the file grows, and all of it by the end', async () => {
  const file = await emptyFile();
  const ended = new AbortController();
  const first = Promise.withResolvers<void>();
  const chunks: Uint8Array[] = [];
  const following = follow(file, {
    write: (chunk, done) => {
      chunks.push(Uint8Array.from(chunk));
      first.resolve();
      done();
    },
  }, ended.signal);
  await appendFile(file, Buffer.from([0, 255]));
  await first.promise;
  // More than is read at once, written at the very end.
  const rest = Buffer.alloc(200_000, 'x');
  await appendFile(file, rest);
  ended.abort();
  await following;
  expect(Buffer.concat(chunks)).toEqual(Buffer.concat([Buffer.from([0, 255]), rest]));
});

test('a sink that fails ends it with that error', async () => {
  const file = await emptyFile();
  await appendFile(file, 'text');
  const failing = { write: (_: Uint8Array, done: (error: Error) => void): void => done(new Error('closed')) };
  await expect(follow(file, failing, new AbortController().signal)).rejects.toThrow('closed');
});
