import { mkdir, rmdir } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { Logger } from 'pino';
import { BerthError, wrapError } from '../errors/catalogue.ts';
import { KeyedLock } from '../state/keyed-lock.ts';
import type { CgroupHierarchy } from './hierarchy.ts';
import { ignore, writeLimit } from './interface-files.ts';
import type { CgroupWrite } from './limits.ts';
import { unitOf } from './systemd/units.ts';
import { replaceLimits } from './transaction.ts';
import type { Undo } from './transaction.ts';
import { enableDownTo, exists, kill, populated, removeTree } from './tree.ts';

/** Makes, limits, kills and removes cgroups below the v2 mount, by one of two drivers. */
export interface Cgroups {
  readonly driver: 'cgroupfs' | 'systemd';
  readonly hierarchy: CgroupHierarchy;
  /** The pod's directory: where the CRI's cgroup_parent leads or, when that is empty, one for this sandbox alone. */
  podDirectory(parent: string, sandboxId: string): string;
  /** The directory of a container's processes and limits, below its pod's. */
  containerDirectory(pod: string, containerId: string): string;
  /** The directory of the process that reaps in a shared PID namespace. */
  reaperDirectory(pod: string, sandboxId: string): string;
  /** Whether a directory is one that `containerDirectory` gives for this container. */
  isContainerDirectory(directory: string, containerId: string): boolean;
  /** Absolute directory for a path relative to the v2 mount. Throws CGROUP_FAILED when it leads outside. */
  absolute(path: string): string;
  exists(directory: string): Promise<boolean>;
  /** Whether a process lives in it or below (cgroup.events, `populated`); false when it is gone. */
  populated(directory: string): Promise<boolean>;
  /** The directory and those of its parents that are not there yet, topmost first. */
  missing(directory: string): Promise<string[]>;
  /** Makes the directory and its missing parents, with the offered controllers enabled on the way, and writes the limits. */
  create(directory: string, writes: readonly CgroupWrite[]): Promise<void>;
  /** Changes limits, all or none; returns what puts the old ones back (transaction.ts). */
  update(directory: string, writes: readonly CgroupWrite[]): Promise<Undo>;
  /** SIGKILL to every process in it and below, through cgroup.kill. Succeeds when it is gone. */
  kill(directory: string): Promise<void>;
  /** Removes it with everything below, waiting for killed processes to be gone. Succeeds when it is gone. */
  remove(directory: string, signal: AbortSignal): Promise<void>;
  /** Removes the directory when nothing is in it; leaves it when something is. */
  removeIfEmpty(directory: string): Promise<void>;
}

/** The cgroupfs driver: Berth makes the directories itself. */
export function createCgroups(hierarchy: CgroupHierarchy, log: Logger): Cgroups {
  const root = hierarchy.mountPoint;
  const wanted = controllersToEnable(hierarchy);
  const skipped = new Set<string>();
  const tree = new KeyedLock();

  const enforced = ({ file }: CgroupWrite): boolean => {
    const controller = file.split('.')[0] ?? '';
    if (hierarchy.controllers.has(controller)) return true;
    // Only with --allow-missing-controllers does berthd run without it; Status says so too.
    if (!skipped.has(controller)) log.warn({ controller, file }, 'limit not enforced: the controller is missing');
    skipped.add(controller);
    return false;
  };

  const absolute = (path: string): string => {
    // Resolved once more for a trailing slash: one directory, one name.
    const directory = resolve(join(root, path));
    if (directory !== root && !directory.startsWith(`${root}/`)) {
      throw new BerthError('CGROUP_FAILED', `cgroup path ${path} leads outside ${root}`);
    }
    return directory;
  };

  return {
    driver: 'cgroupfs',
    hierarchy,
    podDirectory: (parent, sandboxId) => absolute(parent === '' ? `berth/${sandboxId}` : parent),
    containerDirectory: (pod, containerId) => join(pod, containerId),
    reaperDirectory: (pod) => join(pod, 'berth-reaper'),
    isContainerDirectory: (directory, containerId) => basename(directory) === containerId,
    absolute,
    exists,
    populated,
    async missing(directory) {
      const absent: string[] = [];
      for (let current = directory; current !== root && !(await exists(current)); current = dirname(current)) absent.unshift(current);
      return absent;
    },
    async create(directory, writes) {
      try {
        // Making a path and removing empty parents of another must not interleave.
        await tree.run('', undefined, async () => {
          await enableDownTo(root, directory, wanted);
          await mkdir(directory, { recursive: true });
        });
      } catch (cause) {
        throw wrapError(`cgroup ${directory}`, cause, 'CGROUP_FAILED');
      }
      for (const entry of writes.filter(enforced)) await writeLimit(directory, entry);
    },
    update: (directory, writes) => replaceLimits(directory, writes.filter(enforced)),
    kill,
    async remove(directory, signal) {
      await removeTree(directory, signal);
      // Of a time with the other driver: with the process that keeps its scope, systemd takes the scope away.
      const unit = unitOf(directory);
      if (unit?.kind === 'scope') await kill(unit.directory);
    },
    removeIfEmpty: (directory) => tree.run('', undefined, () => rmdir(directory).catch(ignore('EBUSY', 'ENOTEMPTY', 'ENOENT'))),
  };
}

/** Of the controllers that are offered those that limit or measure what the CRI knows. */
export function controllersToEnable(hierarchy: CgroupHierarchy): string[] {
  return [...hierarchy.controllers].filter((name) => ['cpu', 'cpuset', 'io', 'memory', 'pids', 'hugetlb'].includes(name));
}
