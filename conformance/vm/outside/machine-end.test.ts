/** What comes out of a machine, and what stays on its disk when the power goes. These start machines themselves. */

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runMachine } from '../../../tools/vm/machine.ts';
import type { Run } from '../../../tools/vm/machine.ts';
import { passedOn } from '../../../tools/vm/passed-on.ts';
import { machineSettings } from '../../../tools/vm/settings.ts';

let work = '';

beforeAll(async () => {
  work = await mkdtemp(path.join(tmpdir(), 'machine-end-'));
});
afterAll(() => rm(work, { recursive: true, force: true }));

async function machine(line: string, settings: Record<string, string> = {}, directory = '/'): Promise<{ run: Run; stdout: Buffer; stderr: Buffer }> {
  const heard: { stdout: Uint8Array[]; stderr: Uint8Array[] } = { stdout: [], stderr: [] };
  const sink = (chunks: Uint8Array[]) => ({
    write: (chunk: Uint8Array, done: () => void): void => {
      chunks.push(Uint8Array.from(chunk));
      done();
    },
  });
  const outlet = { stdout: sink(heard.stdout), stderr: sink(heard.stderr) };
  const command = { line, directory, environment: passedOn(process.env) };
  const run = await runMachine(machineSettings({ MEM: '512M', TIMEOUT: '150', ...settings }), command, outlet, { results: path.join(work, 'results') });
  return { run, stdout: Buffer.concat(heard.stdout), stderr: Buffer.concat(heard.stderr) };
}

test('the exit code, both streams byte for byte, and the results come out; swap and huge pages are there', async () => {
  const { run, stdout, stderr } = await machine(
    [
      String.raw`printf '\000\377\r\n\n'`,
      "printf 'no newline' >&2",
      'cat /proc/swaps >/run/berth-vm/results/swaps',
      'echo 2 >/proc/sys/vm/nr_hugepages && grep HugePages_Total /proc/meminfo >/run/berth-vm/results/hugepages',
      'exit 43',
    ].join('\n'),
    { SWAP: '64M' },
  );
  expect(run.end).toEqual({ kind: 'ended', code: 43 });
  expect([...stdout]).toEqual([0, 255, 13, 10, 10]);
  expect(stderr.toString()).toBe('no newline');
  expect(await readFile(path.join(work, 'results/swaps'), 'utf8')).toMatch(/partition\s+65532\s/);
  expect(await readFile(path.join(work, 'results/hugepages'), 'utf8')).toMatch(/:\s+2$/m);
});

test('a disk keeps what was flushed before the power went, and loses what was not', async () => {
  const DISK = `${path.join(work, 'disk')}:64M`;
  const cut = await machine('echo safe >/disk/flushed; sync; echo gone >/disk/unflushed; echo written; exec sleep 1000', {
    DISK,
    POWEROFF_AFTER: '2',
  });
  expect(cut.run.end).toEqual({ kind: 'power-cut' });
  expect(cut.stdout.toString()).toBe('written\n');
  const after = await machine('ls /disk; cat /disk/flushed', { DISK });
  expect(after.run.end).toEqual({ kind: 'ended', code: 0 });
  expect(after.stdout.toString()).toBe('flushed\nlost+found\nsafe\n');
});

test.each([
  ['plain', '/tmp'],
  ['systemd', '/tmp'],
  ['plain', '/run'],
])('with init %s, a directory below %s is seen inside, can be written there, and is not changed outside', async (init, parent) => {
  const directory = await mkdtemp(path.join(parent, 'machine end '));
  try {
    await writeFile(path.join(directory, 'file'), 'from outside\n');
    const { run, stdout } = await machine('pwd; cat file; echo inside >file; cat file', { INIT: init }, directory);
    expect(run.end).toEqual({ kind: 'ended', code: 0 });
    expect(stdout.toString()).toBe(`${directory}\nfrom outside\ninside\n`);
    expect(await readFile(path.join(directory, 'file'), 'utf8')).toBe('from outside\n');
  } finally {
    await rm(directory, { recursive: true });
  }
});
