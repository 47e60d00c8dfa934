import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { endHungShim } from './hung-shim.ts';

const log = pino({ level: 'silent' });
const id = 'a'.repeat(64);
let stateDir: string;
let started: ChildProcess | undefined;

beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), 'berth-hung-'));
});
afterEach(async () => {
  started?.kill('SIGKILL');
  await rm(stateDir, { recursive: true });
});

/** A process of this title that status.json takes for the shim. */
async function shimLike(title: string, state: string): Promise<ChildProcess> {
  started = spawn('/bin/sleep', ['1000'], { argv0: title, stdio: 'ignore' });
  await once(started, 'spawn');
  const status = {
    version: 1, id, state, shimPid: started.pid, pid: 0, createdAt: '1', startedAt: '0', finishedAt: '0',
    exitCode: 0, signal: 0, oomKilled: false, logDropped: 0, user: null, error: null,
  };
  await writeFile(join(stateDir, 'status.json'), JSON.stringify(status));
  return started;
}

test('a shim that is still creating is ended', async () => {
  const shim = await shimLike(`berth-shim ${id}`, 'creating');
  await endHungShim(stateDir, id, log);
  const [, signal] = (await once(shim, 'exit')) as [number | null, string];
  expect(signal).toBe('SIGKILL');
});

test.each([
  ['that has told its end', `berth-shim ${id}`, 'exited'],
  ['of another container', `berth-shim ${'b'.repeat(64)}`, 'creating'],
  ['that is no shim', 'sleep', 'creating'],
])('a process %s is left alone', async (_, title, state) => {
  const other = await shimLike(title, state);
  await endHungShim(stateDir, id, log);
  expect(process.kill(other.pid ?? 0, 0)).toBe(true);
  expect([other.exitCode, other.signalCode]).toEqual([null, null]);
});

test('without a status there is nothing to end', async () => {
  await expect(endHungShim(join(stateDir, 'none'), id, log)).resolves.toBeUndefined();
});
