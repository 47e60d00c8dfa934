import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createCgroups } from './cgroups.ts';
import type { Cgroups } from './cgroups.ts';
import { describeMissing, findCgroup2Mount } from './hierarchy.ts';

let root: string;
let warnings: string[];

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'berth-cgroup-'));
  warnings = [];
});

afterEach(async () => {
  await rm(root, { recursive: true });
});

/** Over a plain directory, where the kernel makes no interface files. */
function tree(...controllers: string[]): Cgroups {
  const log = pino({ level: 'warn' }, { write: (line) => void warnings.push(line) });
  return createCgroups({ mountPoint: root, controllers: new Set(controllers), missing: [] }, log);
}

test('paths are below the root, one name each, and never outside', () => {
  const cgroups = tree();
  expect(cgroups.absolute('/a/b')).toBe(join(root, 'a/b'));
  expect(cgroups.absolute('a//b/')).toBe(join(root, 'a/b'));
  expect(cgroups.absolute('/')).toBe(root);
  for (const path of ['..', '/../x', `../${root.split('/').at(-1)}2`]) expect(() => cgroups.absolute(path)).toThrow(expect.objectContaining({ code: 'CGROUP_FAILED' }));
});

test('names what is missing, topmost first, and makes it', async () => {
  const cgroups = tree();
  await mkdir(join(root, 'a'));
  const path = join(root, 'a/b/c');
  expect(await cgroups.missing(path)).toEqual([join(root, 'a/b'), path]);
  await cgroups.create(path, []);
  expect(await cgroups.missing(path)).toEqual([]);
  expect(await cgroups.exists(path)).toBe(true);
  expect(await cgroups.missing(root)).toEqual([]);
});

test('removes a directory only when nothing is in it, and a tree wholly', async () => {
  const cgroups = tree();
  await cgroups.create(join(root, 'a/b/c'), []);
  await cgroups.removeIfEmpty(join(root, 'a'));
  expect(await cgroups.exists(join(root, 'a/b/c'))).toBe(true);
  await cgroups.remove(join(root, 'a/b'), AbortSignal.timeout(1000));
  await cgroups.remove(join(root, 'a/b'), AbortSignal.timeout(1000));
  await cgroups.removeIfEmpty(join(root, 'a'));
  await cgroups.removeIfEmpty(join(root, 'a'));
  expect(await readdir(root)).toEqual([]);
});

test('enables the controllers that are not on yet, in every directory above', async () => {
  for (const directory of ['', 'a', 'a/b']) {
    await mkdir(join(root, directory), { recursive: true });
    await writeFile(join(root, directory, 'cgroup.subtree_control'), directory === 'a' ? 'cpu memory' : 'cpu');
  }
  await tree('cpu', 'memory', 'rdma').create(join(root, 'a/b/c'), []);
  const on = await Promise.all(['', 'a', 'a/b'].map((directory) => readFile(join(root, directory, 'cgroup.subtree_control'), 'utf8')));
  // A plain file keeps what was written last; the kernel would add it.
  expect(on).toEqual(['+memory', 'cpu memory', '+memory'].map((text, index) => (index === 1 ? text : text.slice(0, 7))));
});

test('the root itself is nobody\'s child', async () => {
  await tree('cpu').create(root, []);
});

test('writes limits in order to files that are there', async () => {
  const cgroups = tree('memory');
  await mkdir(join(root, 'a'));
  await writeFile(join(root, 'cgroup.subtree_control'), 'memory');
  await writeFile(join(root, 'a/memory.max'), '');
  await cgroups.create(join(root, 'a'), [{ file: 'memory.swap.max', value: '0', optional: true }, { file: 'memory.max', value: '42' }]);
  expect(await readFile(join(root, 'a/memory.max'), 'utf8')).toBe('42');
  expect(await readdir(join(root, 'a'))).toEqual(['memory.max']);
  await expect(cgroups.create(join(root, 'a'), [{ file: 'memory.high', value: '1' }])).rejects.toMatchObject({ code: 'LIMIT_REFUSED', message: expect.stringContaining('memory.high') as string });
});

test('a limit of a controller that the machine lacks is left out, with one warning', async () => {
  const cgroups = tree();
  await cgroups.create(join(root, 'a'), [{ file: 'memory.max', value: '1' }, { file: 'memory.high', value: '1' }]);
  await cgroups.create(join(root, 'b'), [{ file: 'memory.max', value: '1' }]);
  expect(warnings).toHaveLength(1);
});

test('kills through cgroup.kill, and succeeds on what is gone', async () => {
  await mkdir(join(root, 'a'));
  await writeFile(join(root, 'a/cgroup.kill'), '');
  await tree().kill(join(root, 'a'));
  expect(await readFile(join(root, 'a/cgroup.kill'), 'utf8')).toBe('1');
  await tree().kill(join(root, 'gone'));
});

const line = (id: number, at: string, type: string) => `${id} 1 0:${id} / ${at} rw,nosuid shared:${id} - ${type} ${type} rw`;

test('finds the cgroup2 mount on unified and hybrid machines, and none on others', () => {
  expect(findCgroup2Mount([line(1, '/proc', 'proc'), line(2, '/sys/fs/cgroup', 'cgroup2')].join('\n'))).toBe('/sys/fs/cgroup');
  expect(findCgroup2Mount([line(1, '/sys/fs/cgroup/cpu', 'cgroup'), line(2, '/sys/fs/cgroup/unified', 'cgroup2')].join('\n'))).toBe('/sys/fs/cgroup/unified');
  expect(findCgroup2Mount(line(1, '/with\\040space', 'cgroup2'))).toBe('/with space');
  // No optional fields.
  expect(findCgroup2Mount('9 1 0:9 / /c rw - cgroup2 none rw')).toBe('/c');
  expect(findCgroup2Mount(`${line(1, '/cgroup2', 'cgroup')}\n`)).toBeUndefined();
  expect(findCgroup2Mount('')).toBeUndefined();
});

test('says what is lost without a controller', () => {
  const hierarchy = { mountPoint: '/c', controllers: new Set<string>(), missing: ['memory'] };
  expect(describeMissing(hierarchy)).toBe('not enforced, because cgroup v2 at /c lacks the controllers: memory (memory limits and OOM detection)');
  expect(describeMissing({ ...hierarchy, missing: [] })).toBe('');
});
