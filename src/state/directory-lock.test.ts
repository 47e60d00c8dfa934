import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { lockDirectory } from './directory-lock.ts';

let directory = '';
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'berth-lock-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

test('a locked directory is refused by name and process, and free again after release', async () => {
  const lock = await lockDirectory(directory);
  await expect(lockDirectory(directory)).rejects.toThrow(`${directory} is in use by process ${process.pid}`);
  await lock.release();
  expect(existsSync(join(directory, 'berthd.pid'))).toBe(false);
  await (await lockDirectory(directory)).release();
});

test('the lock of a process that is gone is taken over', async () => {
  const child = spawn('true');
  await once(child, 'exit');
  await writeFile(join(directory, 'berthd.pid'), `${child.pid} 1\n`);
  const lock = await lockDirectory(directory);
  expect(await readFile(join(directory, 'berthd.pid'), 'utf8')).toMatch(new RegExp(`^${process.pid} \\d+\\n$`));
  await lock.release();
});

test('a reused process id does not keep the lock: the start differs', async () => {
  await writeFile(join(directory, 'berthd.pid'), `${process.pid} 1\n`);
  await (await lockDirectory(directory)).release();
});

test.each(['', 'garbage\n', '-1 5\n'])('a damaged lock file %j is taken over', async (text) => {
  await writeFile(join(directory, 'berthd.pid'), text);
  await (await lockDirectory(directory)).release();
});

test('a directory that is not there is an error that names it', async () => {
  await expect(lockDirectory(join(directory, 'absent'))).rejects.toThrow(`lock ${directory}/absent`);
});
