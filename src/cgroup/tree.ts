import { access, mkdir, readdir, readFile, rmdir } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { wrapError } from '../errors/catalogue.ts';
import { errnoOf, ignore, writeInterface } from './interface-files.ts';

/** What both drivers do with cgroup directories themselves. */

/** Whether there is such a directory. */
export async function exists(directory: string): Promise<boolean> {
  return access(directory).then(() => true, () => false);
}

/** Whether a process lives in it or below. */
export async function populated(directory: string): Promise<boolean> {
  const events = await readFile(join(directory, 'cgroup.events'), 'utf8').catch(ignore('ENOENT', 'ENODEV'));
  return /^populated 1$/m.test(events ?? '');
}

/** Enables the controllers in every directory from the root to the parent of `directory`, making what is missing. */
export async function enableDownTo(root: string, directory: string, controllers: readonly string[]): Promise<void> {
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

/** SIGKILL to all in it and below; what is gone has been killed. */
export async function kill(directory: string): Promise<void> {
  try {
    await writeInterface(join(directory, 'cgroup.kill'), '1');
  } catch (cause) {
    const code = errnoOf(cause);
    if (code !== 'ENOENT' && code !== 'ENODEV') throw wrapError(`kill cgroup ${directory}`, cause, 'CGROUP_FAILED');
  }
}

/** Removes the directory with all below, waiting for killed processes to be gone. Rejects with CGROUP_FAILED when they are not by the signal. */
export async function removeTree(directory: string, signal: AbortSignal): Promise<void> {
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => []);
  for (const entry of entries) {
    if (entry.isDirectory()) await removeTree(join(directory, entry.name), signal);
  }
  for (let wait = 1; ; wait = Math.min(wait * 2, 50)) {
    try {
      return await rmdir(directory);
    } catch (cause) {
      const code = errnoOf(cause);
      if (code === 'ENOENT') return;
      if (code !== 'EBUSY' || signal.aborted) throw wrapError(`remove cgroup ${directory}`, cause, 'CGROUP_FAILED');
    }
    // A killed process holds its cgroup until it is reaped; the kernel offers nothing to wait on for that.
    await sleep(wait, undefined, { signal }).catch(() => undefined);
  }
}
