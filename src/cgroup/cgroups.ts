import { access, constants, mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { BerthError, wrapError } from '../errors/catalogue.ts';
import { KeyedLock } from '../state/keyed-lock.ts';
import type { CgroupHierarchy } from './hierarchy.ts';
import type { CgroupWrite } from './limits.ts';

/** Makes, limits, kills and removes cgroup directories below the v2 mount (the cgroupfs driver). */
export interface Cgroups {
  readonly hierarchy: CgroupHierarchy;
  /** Absolute directory for a path relative to the v2 mount. Throws CGROUP_FAILED when it leads outside. */
  absolute(path: string): string;
  exists(directory: string): Promise<boolean>;
  /** The directory and those of its parents that are not there yet, topmost first. */
  missing(directory: string): Promise<string[]>;
  /** Makes the directory and its missing parents, with the offered controllers enabled on the way, and writes the limits. */
  create(directory: string, writes: readonly CgroupWrite[]): Promise<void>;
  /** SIGKILL to every process in it and below, through cgroup.kill. Succeeds when it is gone. */
  kill(directory: string): Promise<void>;
  /** Removes it with everything below, waiting for killed processes to be gone. Succeeds when it is gone. */
  remove(directory: string, signal: AbortSignal): Promise<void>;
  /** Removes the directory when nothing is in it; leaves it when something is. */
  removeIfEmpty(directory: string): Promise<void>;
}

export function createCgroups(hierarchy: CgroupHierarchy, log: Logger): Cgroups {
  const root = hierarchy.mountPoint;
  const wanted = [...hierarchy.controllers].filter((name) => ['cpu', 'cpuset', 'io', 'memory', 'pids', 'hugetlb'].includes(name));
  const skipped = new Set<string>();
  const tree = new KeyedLock();

  const write = async (directory: string, { file, value, optional }: CgroupWrite): Promise<void> => {
    const controller = file.split('.')[0] ?? '';
    if (!hierarchy.controllers.has(controller)) {
      // Only with --allow-missing-controllers does berthd run without it; Status says so too.
      if (!skipped.has(controller)) log.warn({ controller, file }, 'limit not enforced: the controller is missing');
      skipped.add(controller);
      return;
    }
    try {
      await writeInterface(join(directory, file), value);
    } catch (cause) {
      if (optional === true && (cause as NodeJS.ErrnoException).code === 'ENOENT') return;
      throw wrapError(`cgroup ${directory}: write "${value}" to ${file}`, cause, 'CGROUP_FAILED');
    }
  };

  return {
    hierarchy,
    absolute(path) {
      // Resolved once more for a trailing slash: one directory, one name.
      const directory = resolve(join(root, path));
      if (directory !== root && !directory.startsWith(`${root}/`)) {
        throw new BerthError('CGROUP_FAILED', `cgroup path ${path} leads outside ${root}`);
      }
      return directory;
    },
    exists,
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
      for (const entry of writes) await write(directory, entry);
    },
    kill,
    remove: removeTree,
    removeIfEmpty: (directory) => tree.run('', undefined, () => rmdir(directory).catch(ignore('EBUSY', 'ENOTEMPTY', 'ENOENT'))),
  };
}

/** Without O_CREAT, so that a file that the kernel does not have is ENOENT and not EACCES. */
function writeInterface(path: string, value: string): Promise<void> {
  return writeFile(path, value, { flag: constants.O_WRONLY });
}

async function exists(directory: string): Promise<boolean> {
  return access(directory).then(() => true, () => false);
}

/** Enables the controllers in every directory from the root to the parent of `directory`, making what is missing. */
async function enableDownTo(root: string, directory: string, controllers: readonly string[]): Promise<void> {
  if (controllers.length === 0 || directory === root) return;
  let current = root;
  for (const part of ['', ...relative(root, dirname(directory)).split('/')]) {
    current = join(current, part);
    if (part !== '') await mkdir(current).catch(ignore('EEXIST'));
    const enabled = new Set((await readFile(join(current, 'cgroup.subtree_control'), 'utf8')).trim().split(' '));
    const missing = controllers.filter((name) => !enabled.has(name));
    if (missing.length > 0) {
      await writeInterface(join(current, 'cgroup.subtree_control'), missing.map((name) => `+${name}`).join(' '));
    }
  }
}

async function kill(directory: string): Promise<void> {
  try {
    await writeInterface(join(directory, 'cgroup.kill'), '1');
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code !== 'ENOENT' && code !== 'ENODEV') throw wrapError(`kill cgroup ${directory}`, cause, 'CGROUP_FAILED');
  }
}

async function removeTree(directory: string, signal: AbortSignal): Promise<void> {
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => []);
  for (const entry of entries) {
    if (entry.isDirectory()) await removeTree(join(directory, entry.name), signal);
  }
  for (let wait = 1; ; wait = Math.min(wait * 2, 50)) {
    try {
      return await rmdir(directory);
    } catch (cause) {
      const code = (cause as NodeJS.ErrnoException).code;
      if (code === 'ENOENT') return;
      if (code !== 'EBUSY' || signal.aborted) throw wrapError(`remove cgroup ${directory}`, cause, 'CGROUP_FAILED');
    }
    // A killed process holds its cgroup until it is reaped; the kernel offers nothing to wait on for that.
    await sleep(wait, undefined, { signal }).catch(() => undefined);
  }
}

function ignore(...codes: string[]): (cause: unknown) => void {
  return (cause) => {
    if (!codes.includes((cause as NodeJS.ErrnoException).code ?? '')) throw cause;
  };
}
