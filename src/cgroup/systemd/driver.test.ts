import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Cgroups } from '../cgroups.ts';
import { exists } from '../tree.ts';
import { createSystemdCgroups } from './driver.ts';
import type { SystemdManager } from './manager.ts';

const id = 'ab'.repeat(32);
let root: string;
let calls: string[];
let held: ChildProcess[];
let cgroups: Cgroups;
let failing: Partial<Record<keyof SystemdManager, Error>>;

/** Over a plain directory: makes and removes the directories as systemd would. */
function manager(): SystemdManager {
  const said = async (name: keyof SystemdManager, ...words: string[]): Promise<void> => {
    calls.push([name, ...words].join(' '));
    const failure = failing[name];
    if (failure !== undefined) throw failure;
  };
  const at = (slice: string): string => cgroups.podDirectory(slice, '');
  return {
    startScope: async ({ name, slice }) => {
      await said('startScope', name, slice);
      await mkdir(join(at(slice), name), { recursive: true });
    },
    startSlice: async (name) => {
      await said('startSlice', name);
      await mkdir(at(name), { recursive: true });
    },
    setProperties: async (unit, properties) => {
      if (properties.length > 0) await said('setProperties', unit, ...properties.map(([name, { value }]) => `${name}=${String(value as bigint)}`));
    },
    stopUnit: async (name) => {
      await said('stopUnit', name);
      if (name.endsWith('.slice')) await rm(at(name), { recursive: true, force: true });
    },
    ping: () => said('ping'),
    close: () => undefined,
  };
}

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'berth-systemd-'));
  calls = [];
  held = [];
  failing = {};
  cgroups = createSystemdCgroups({
    hierarchy: { mountPoint: root, controllers: new Set(), missing: [] },
    log: pino({ level: 'silent' }),
    manager: manager(),
    hold: async (wanted) => {
      expect(wanted).toBe(id);
      const child = spawn('sleep', ['1000'], { stdio: 'ignore' });
      held.push(child);
      return { pid: child.pid ?? 0 };
    },
  });
});

afterEach(async () => {
  for (const child of held) child.kill('SIGKILL');
  await rm(root, { recursive: true });
});

const pod = () => cgroups.podDirectory('kubepods-pod1.slice', 'x');

test('names are those of units', () => {
  expect(pod()).toBe(join(root, 'kubepods.slice/kubepods-pod1.slice'));
  expect(cgroups.podDirectory('/kubepods.slice/kubepods-pod1.slice', 'x')).toBe(pod());
  expect(cgroups.podDirectory('', id)).toBe(join(root, `berth.slice/berth-pod${id}.slice`));
  const container = cgroups.containerDirectory(pod(), id);
  expect(container).toBe(join(pod(), `cri-berth-${id}.scope/container`));
  expect([cgroups.isContainerDirectory(container, id), cgroups.isContainerDirectory(pod(), id)]).toEqual([true, false]);
  expect(cgroups.reaperDirectory(pod(), id)).toBe(join(pod(), `cri-berth-reaper-${id}.scope/container`));
  expect(() => cgroups.podDirectory('/kubepods/pod1', 'x')).toThrow(/not a systemd slice/);
});

test('what cannot be made is taken back, and its process ended', async () => {
  failing = { startScope: new Error('no scope today') };
  const container = cgroups.containerDirectory(pod(), id);
  await expect(cgroups.create(container, [])).rejects.toMatchObject({ code: 'CGROUP_FAILED', message: expect.stringContaining('no scope today') as string });
  const [child] = held;
  await expect.poll(() => child?.signalCode).toBe('SIGKILL');
  expect(await exists(container)).toBe(false);
});

test('the limits of a slice go to the kernel and to systemd, and both get the old ones back', async () => {
  await mkdir(pod(), { recursive: true });
  // As long as the new values: a plain file keeps the rest of a longer one.
  await writeFile(join(pod(), 'memory.max'), '9000');
  const limited = createSystemdCgroups({
    hierarchy: { mountPoint: root, controllers: new Set(['memory']), missing: [] },
    log: pino({ level: 'silent' }),
    manager: manager(),
    hold: () => Promise.reject(new Error('not here')),
  });
  const undo = await limited.update(pod(), [{ file: 'memory.max', value: '1000' }]);
  expect(await readFile(join(pod(), 'memory.max'), 'utf8')).toBe('1000');
  await undo();
  expect(await readFile(join(pod(), 'memory.max'), 'utf8')).toBe('9000');
  expect(calls).toEqual(['setProperties kubepods-pod1.slice MemoryMax=1000', 'setProperties kubepods-pod1.slice MemoryMax=9000']);
  failing = { setProperties: new Error('systemd is busy') };
  await expect(limited.update(pod(), [{ file: 'memory.max', value: '2000' }])).rejects.toThrow('systemd is busy');
  expect(await readFile(join(pod(), 'memory.max'), 'utf8')).toBe('9000');
});

test('a slice is started once, and stopped when nothing is in it', async () => {
  await cgroups.create(pod(), []);
  await cgroups.create(pod(), []);
  expect(calls).toEqual(['startSlice kubepods-pod1.slice']);
  await mkdir(join(pod(), 'somebody'));
  await cgroups.removeIfEmpty(pod());
  expect(calls).toHaveLength(1);
  await rm(join(pod(), 'somebody'), { recursive: true });
  await writeFile(join(pod(), 'cgroup.events'), 'populated 1\nfrozen 0\n');
  await cgroups.removeIfEmpty(pod());
  expect(calls).toHaveLength(1);
  await writeFile(join(pod(), 'cgroup.events'), 'populated 0\nfrozen 0\n');
  await cgroups.removeIfEmpty(pod());
  expect(calls.at(-1)).toBe('stopUnit kubepods-pod1.slice');
  await cgroups.removeIfEmpty(pod());
  await cgroups.remove(pod(), AbortSignal.timeout(1000));
  expect(calls).toHaveLength(2);
});

test('directories of the other driver are plain ones', async () => {
  const directory = join(root, 'berth/1');
  await cgroups.create(directory, []);
  await cgroups.remove(directory, AbortSignal.timeout(1000));
  await cgroups.removeIfEmpty(join(root, 'berth'));
  expect([calls, await readdir(root)]).toEqual([[], []]);
});
