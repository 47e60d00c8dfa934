import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { BerthError, wrapError } from '../../errors/catalogue.ts';
import { KeyedLock } from '../../state/keyed-lock.ts';
import { controllersToEnable, createCgroups } from '../cgroups.ts';
import type { Cgroups } from '../cgroups.ts';
import type { CgroupHierarchy } from '../hierarchy.ts';
import { ignore, readLimit, writeInterface } from '../interface-files.ts';
import type { CgroupWrite } from '../limits.ts';
import type { Undo } from '../transaction.ts';
import { enableDownTo, exists, kill, removeTree } from '../tree.ts';
import type { SystemdManager } from './manager.ts';
import { isNamed, unitExists } from './manager.ts';
import { unitProperties } from './properties.ts';
import { containerScope, holdLeaf, podSlice, reaperScope, scopeLeaf, sliceDirectory, unitOf } from './units.ts';
import type { ScopeUnit } from './units.ts';

export interface SystemdDriverOptions {
  readonly hierarchy: CgroupHierarchy;
  readonly log: Logger;
  readonly manager: SystemdManager;
  /** Starts a process that does nothing, for an id of 64 hex digits. */
  readonly hold: (id: string, signal: AbortSignal) => Promise<{ readonly pid: number }>;
}

/** How long systemd may take for a unit, in ms: a busy node's is asked for much by others, too. */
const unitPatience = 30_000;

/** How long systemd may take to see by itself that a scope has emptied, in ms, before it is told. */
const noticePatience = 2_000;

/**
 * The systemd driver. Pods are slices and containers are scopes, so that systemd, which owns the tree, knows of
 * them. Within its delegated scope a container has a directory of its own, with its limits: systemd does not
 * touch them, whatever it reads anew, the container finds them at the root of its cgroup namespace, and changing
 * them takes no message to systemd. The limits of a slice are systemd's to write; what is written here it is told
 * as well.
 */
export function createSystemdCgroups(options: SystemdDriverOptions): Cgroups {
  const { hierarchy, manager } = options;
  const files = createCgroups(hierarchy, options.log);
  const slices = new KeyedLock();

  return {
    ...files,
    driver: 'systemd',
    podDirectory: (parent, sandboxId) => podDirectory(files, parent === '' ? podSlice(sandboxId) : parent),
    containerDirectory: (pod, containerId) => join(pod, containerScope(containerId), scopeLeaf),
    reaperDirectory: (pod, sandboxId) => join(pod, reaperScope(sandboxId), scopeLeaf),
    isContainerDirectory: (directory, containerId) => {
      const unit = unitOf(directory);
      return unit?.kind === 'scope' && unit.name === containerScope(containerId);
    },
    async create(directory, writes) {
      const unit = unitOf(directory);
      if (unit?.kind === 'scope') await makeScope(options, unit);
      if (unit?.kind === 'slice') {
        await slices.run('', undefined, () => makeSlice(options, unit.name, directory));
        await files.create(directory, []);
        await updateSlice(files, manager, unit.name, directory, writes);
        return;
      }
      await files.create(directory, writes);
    },
    update(directory, writes) {
      const unit = unitOf(directory);
      return unit?.kind === 'slice' ? updateSlice(files, manager, unit.name, directory, writes) : files.update(directory, writes);
    },
    async remove(directory, signal) {
      const unit = unitOf(directory);
      if (unit?.kind === 'slice') return slices.run('', undefined, () => removeSlice(manager, unit.name, directory, signal));
      await files.remove(directory, signal);
      if (unit !== undefined) await removeScope(manager, unit, signal);
    },
    async removeIfEmpty(directory) {
      const unit = unitOf(directory);
      if (unit?.kind !== 'slice') return files.removeIfEmpty(directory);
      await slices.run('', undefined, async () => {
        if (await isEmpty(directory)) await removeSlice(manager, unit.name, directory, AbortSignal.timeout(unitPatience));
      });
    },
  };
}

function podDirectory(files: Cgroups, parent: string): string {
  const directory = sliceDirectory(parent);
  if (directory === undefined) throw new BerthError('CGROUP_FAILED', `cgroup parent "${parent}" is not a systemd slice`);
  return files.absolute(directory);
}

/** Makes the scope with its two directories, or leaves nothing of it. */
async function makeScope({ hierarchy, manager, hold }: SystemdDriverOptions, unit: ScopeUnit): Promise<void> {
  const leaf = join(unit.directory, scopeLeaf);
  if (await exists(leaf)) return;
  const signal = AbortSignal.timeout(unitPatience);
  const { pid } = await hold(idOf(unit), signal);
  try {
    await startScope(manager, unit, pid, signal);
    // A directory with processes cannot hand controllers down (cgroup-v2.rst, "No Internal Process Constraint").
    await mkdir(join(unit.directory, holdLeaf)).catch(ignore('EEXIST'));
    await writeInterface(join(unit.directory, holdLeaf, 'cgroup.procs'), String(pid));
    await enableDownTo(hierarchy.mountPoint, leaf, controllersToEnable(hierarchy));
  } catch (cause) {
    process.kill(pid, 'SIGKILL');
    await removeScope(manager, unit, AbortSignal.timeout(unitPatience)).catch(() => undefined);
    throw wrapError(`scope ${unit.name}`, cause, 'CGROUP_FAILED');
  }
}

/** A unit of the same name that is about to go, as after a first attempt, is waited for. */
async function startScope(manager: SystemdManager, unit: ScopeUnit, pid: number, signal: AbortSignal): Promise<void> {
  for (let wait = 10; ; wait *= 2) {
    try {
      return await manager.startScope({ name: unit.name, slice: unit.slice, pid, description: `Container ${idOf(unit)} of Berth` }, signal);
    } catch (cause) {
      if (!isNamed(cause, unitExists) || wait > 1000 || (await exists(unit.directory))) throw cause;
    }
    await sleep(wait, undefined, { signal });
  }
}

function idOf(unit: ScopeUnit): string {
  return /[0-9a-f]{64}/.exec(unit.name)?.[0] ?? '';
}

/** With the last process of a scope goes the scope; systemd is told only when it does not notice. */
async function removeScope(manager: SystemdManager, unit: ScopeUnit, signal: AbortSignal): Promise<void> {
  await kill(unit.directory);
  if (await goneWithin(unit.directory, noticePatience)) return;
  await manager.stopUnit(unit.name, signal);
  await removeTree(unit.directory, signal);
}

async function goneWithin(directory: string, milliseconds: number): Promise<boolean> {
  for (let waited = 0, wait = 1; waited < milliseconds; waited += wait, wait = Math.min(wait * 2, 50)) {
    if (!(await exists(directory))) return true;
    await sleep(wait);
  }
  return !(await exists(directory));
}

/** Starts the slice where it is not there; systemd starts those above along with it. */
async function makeSlice({ manager }: SystemdDriverOptions, name: string, directory: string): Promise<void> {
  if (!(await exists(directory))) await manager.startSlice(name, AbortSignal.timeout(unitPatience));
}

/** The kernel first, which may refuse, and at once; then systemd, which would else put its own values back one day. */
async function updateSlice(files: Cgroups, manager: SystemdManager, name: string, directory: string, writes: readonly CgroupWrite[]): Promise<Undo> {
  const undoFiles = await files.update(directory, writes);
  const tell = async (): Promise<void> => {
    // As the kernel has them, which is what systemd is to keep; without those whose controller is missing.
    const present = await Promise.all(writes.map(async ({ file }) => ({ file, value: await readLimit(directory, { file, value: '', optional: true }) })));
    const held = present.flatMap(({ file, value }) => (value === undefined ? [] : [{ file, value }]));
    await manager.setProperties(name, unitProperties(held), AbortSignal.timeout(unitPatience));
  };
  const undo = async (): Promise<void> => {
    await undoFiles();
    await tell();
  };
  try {
    await tell();
  } catch (cause) {
    await undo().catch(() => undefined);
    throw cause;
  }
  return undo;
}

async function removeSlice(manager: SystemdManager, name: string, directory: string, signal: AbortSignal): Promise<void> {
  if (!(await exists(directory))) return;
  await kill(directory);
  await manager.stopUnit(name, signal);
  await removeTree(directory, signal);
}

/** No process in it or below, and no unit. */
async function isEmpty(directory: string): Promise<boolean> {
  if (!(await exists(directory))) return false;
  const events = await readFile(join(directory, 'cgroup.events'), 'utf8').catch(() => 'populated 1');
  const below = await readdir(directory, { withFileTypes: true });
  return events.includes('populated 0') && !below.some((entry) => entry.isDirectory());
}
