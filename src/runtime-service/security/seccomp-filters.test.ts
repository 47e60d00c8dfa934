/** The cache, and the compiler's contract, with shell scripts in the place of berth-seccomp. */
import { chmod, mkdtemp, readFile, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { defaultSeccompProfile } from './seccomp-default.ts';
import { openSeccompFilters } from './seccomp-filters.ts';
import type { SeccompFilters } from './seccomp-filters.ts';

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'berth-seccomp-'));
});

afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

/** `script` is the compiler; each of its runs adds a line with its arguments to the file `runs`. */
async function filters(script: string): Promise<SeccompFilters> {
  const program = join(directory, 'program');
  await writeFile(program, `#!/bin/sh\nPATH=/bin:/usr/bin\necho "$@" >> ${directory}/runs\n${script}\n`);
  await chmod(program, 0o755);
  return openSeccompFilters({ program, directory: join(directory, 'cache') });
}

const runs = async () => (await readFile(join(directory, 'runs'), 'utf8')).trim().split('\n');
const echo = 'cat';
const localhost = (name: string) => ({ kind: 'localhost', name, field: 'the.field' }) as const;

async function profile(text: string): Promise<ReturnType<typeof localhost>> {
  const path = join(directory, 'profile.json');
  await writeFile(path, text);
  return localhost(path);
}

test('unconfined is no filter and runs nothing', async () => {
  expect(await (await filters(echo)).filter({ kind: 'unconfined' }, [])).toBeUndefined();
  await expect(runs()).rejects.toThrow(/ENOENT/);
});

test('a filter is compiled once for one profile and one set of capabilities', async () => {
  const cache = await filters(echo);
  const paths = await Promise.all([
    cache.filter({ kind: 'default' }, ['CAP_KILL', 'CAP_CHOWN']),
    cache.filter({ kind: 'default' }, ['CAP_CHOWN', 'CAP_KILL']),
  ]);
  expect(await cache.filter({ kind: 'default' }, ['CAP_CHOWN', 'CAP_KILL'])).toBe(paths[0]);
  expect(paths[0]).toBe(paths[1]);
  expect(await readFile(paths[0] ?? '', 'utf8')).toBe(defaultSeccompProfile);
  expect(await runs()).toEqual(['--capabilities CAP_CHOWN,CAP_KILL']);
  expect(await cache.filter({ kind: 'default' }, ['CAP_CHOWN'])).not.toBe(paths[0]);
  expect(await runs()).toHaveLength(2);
});

test('a file that changes is another profile', async () => {
  const cache = await filters(echo);
  const first = await cache.filter(await profile('one'), []);
  expect(await cache.filter(await profile('two'), [])).not.toBe(first);
  expect(await cache.filter(await profile('one'), [])).toBe(first);
  expect(await runs()).toHaveLength(2);
});

test('filters of an earlier run are not trusted', async () => {
  const cache = await filters(echo);
  await cache.filter({ kind: 'default' }, []);
  await openSeccompFilters({ program: '/nowhere', directory: join(directory, 'cache') });
  expect(await readdir(join(directory, 'cache'))).toEqual([]);
});

test('a profile that the compiler refuses is the field\'s fault, and leaves nothing', async () => {
  const cache = await filters('cat >/dev/null; echo "syscalls[0].action: no" >&2; exit 1');
  const choice = await profile('{}');
  await expect(cache.filter(choice, [])).rejects.toThrow(
    expect.objectContaining({ code: 'INVALID_FIELD', message: `the.field: ${choice.name}: syscalls[0].action: no` }),
  );
  expect(await readdir(join(directory, 'cache'))).toEqual([]);
  await expect(cache.filter({ kind: 'default' }, [])).rejects.toThrow(expect.objectContaining({ code: 'CONTAINER_SETUP_FAILED' }));
});

test.each([
  ['a death', 'cat >/dev/null; kill -9 $$', 'CONTAINER_SETUP_FAILED'],
  ['another exit', 'cat >/dev/null; echo oops >&2; exit 3', 'CONTAINER_SETUP_FAILED'],
  ['too much output', 'cat >/dev/null; head -c 100000 /dev/zero', 'CONTAINER_SETUP_FAILED'],
])('%s of the compiler is a failure', async (_, script, code) => {
  const cache = await filters(script);
  await expect(cache.filter(await profile('{}'), [])).rejects.toThrow(expect.objectContaining({ code }));
  expect(await readdir(join(directory, 'cache'))).toEqual([]);
});

test('a compiler that is not there is a failure', async () => {
  const cache = await openSeccompFilters({ program: '/nowhere/berth-seccomp', directory: join(directory, 'cache') });
  await expect(cache.filter(await profile('{}'), [])).rejects.toThrow(expect.objectContaining({ code: 'CONTAINER_SETUP_FAILED' }));
});

test('a failure is not remembered', async () => {
  const cache = await filters(`test -e ${directory}/well || { echo no >&2; exit 1; }; cat`);
  const choice = await profile('{}');
  await expect(cache.filter(choice, [])).rejects.toThrow(/no/);
  await writeFile(join(directory, 'well'), '');
  expect(await cache.filter(choice, [])).toContain(join(directory, 'cache'));
});

test('files that are no profile are named', async () => {
  const cache = await filters(echo);
  await expect(cache.filter(localhost(join(directory, 'absent')), [])).rejects.toThrow(/^the\.field: .*absent cannot be read: ENOENT/);
  await expect(cache.filter(localhost(directory), [])).rejects.toThrow(/^the\.field: .* is not a file/);
  const huge = await profile('');
  await truncate(huge.name, 5 * 1024 * 1024);
  await expect(cache.filter(huge, [])).rejects.toThrow(/larger than/);
});
