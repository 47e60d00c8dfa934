/** The kernel: what its version brings, and what only trying shows. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { release } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { essential, optional, type Check } from './check.ts';
import { isAtLeast } from './kernel-version.ts';
import { overlayFeatureChecks } from './overlay.ts';
import { swapCheck } from './swap.ts';
import { userNamespaceChecks } from './user-namespaces.ts';

const run = promisify(execFile);

interface Feature {
  readonly name: string;
  /** First kernel that has it. */
  readonly since: readonly [major: number, minor: number];
  readonly use: string;
  readonly needed: boolean;
}

/** By the man page of each call, section "History". */
const features: readonly Feature[] = [
  { name: 'fsopen, fsmount', since: [5, 2], use: 'mounting overlays inside the container', needed: true },
  { name: 'pidfd_open', since: [5, 3], use: 'signals that cannot hit another process', needed: true },
  { name: 'openat2', since: [5, 6], use: 'paths that cannot leave the root', needed: true },
  { name: 'clone3 into a cgroup', since: [5, 7], use: 'no process is ever outside its cgroup', needed: true },
  { name: 'close_range', since: [5, 9], use: 'no descriptor leaks into containers', needed: true },
  { name: 'volatile overlay', since: [5, 10], use: 'writable layers without sync', needed: true },
  { name: 'id-mapped mounts', since: [5, 12], use: 'user namespaces with volumes', needed: false },
  { name: 'cgroup.kill', since: [5, 14], use: 'ending a container with all it started', needed: true },
  { name: 'id-mapped overlay layers', since: [5, 19], use: 'user namespaces with shared layers', needed: false },
];

export function kernelFeatureChecks(kernel: string): Check[] {
  return features.map(({ name, since, use, needed }) => {
    const parts = { area: 'kernel', name, found: `kernel ${kernel}` } as const;
    const cost = `needs kernel ${since.join('.')}: ${use}`;
    return needed ? essential(parts, isAtLeast(kernel, since), cost) : optional(parts, isAtLeast(kernel, since), cost);
  });
}

/** `root` is the directory that will hold the layers; it, or what is there of its path, is tried. */
export async function kernelChecks(root: string): Promise<Check[]> {
  const [namespaces, overlay, pressure, swap] = await Promise.all([tryNamespaces(), tryOverlay(root), readable('/proc/pressure/cpu'), swapCheck()]);
  return [
    essential({ area: 'kernel', name: 'namespaces', found: namespaces }, namespaces === 'mount, pid, net, ipc, uts', 'pods cannot be isolated'),
    essential({ area: 'kernel', name: 'overlay', found: overlay.found }, overlay.works, 'containers have no root file system; put root on ext4 or xfs'),
    ...overlay.features,
    ...kernelFeatureChecks(release()),
    ...(await userNamespaceChecks(await nearestDirectory(root), release())),
    optional({ area: 'kernel', name: 'pressure (PSI)', found: pressure ? '/proc/pressure' : 'off' }, pressure, 'no pressure figures in statistics; boot with psi=1'),
    swap,
  ];
}

async function tryNamespaces(): Promise<string> {
  try {
    await run('unshare', ['--mount', '--pid', '--net', '--ipc', '--uts', '--fork', 'true']);
    return 'mount, pid, net, ipc, uts';
  } catch (error) {
    return `unshare: ${reasonOf(error)}`;
  }
}

/** A real overlay, in a mount namespace that goes away with the try. */
async function tryOverlay(root: string): Promise<{ works: boolean; found: string; features: Check[] }> {
  const base = await nearestDirectory(root);
  const place = await mkdtemp(join(base, '.berth-check-')).catch(() => undefined);
  if (place === undefined) return { works: false, found: `${base} is not writable`, features: [] };
  const script =
    'cd "$1" && mkdir l u w m && echo x >l/f && mount -t overlay -o lowerdir=l,upperdir=u,workdir=w,volatile o m && rm m/f && [ -c u/f ]';
  try {
    await run('unshare', ['--mount', '--', 'sh', '-c', script, 'sh', place]);
    const second = await mkdtemp(join(place, 'features-'));
    return { works: true, found: `works in ${base}`, features: await overlayFeatureChecks(second) };
  } catch (error) {
    return { works: false, found: `${base}: ${reasonOf(error)}`, features: [] };
  } finally {
    await rm(place, { recursive: true, force: true });
  }
}

async function nearestDirectory(path: string): Promise<string> {
  if (path === '/' || (await readable(path))) return path;
  return nearestDirectory(dirname(path));
}

async function readable(path: string): Promise<boolean> {
  const problem = await readFile(path).then(
    () => undefined,
    (error: NodeJS.ErrnoException) => error.code,
  );
  return problem === undefined || problem === 'EISDIR';
}

function reasonOf(error: unknown): string {
  const stderr = typeof error === 'object' && error !== null && 'stderr' in error ? String(error.stderr).trim() : '';
  const text = stderr !== '' ? stderr : error instanceof Error ? error.message : String(error);
  return text.split('\n').at(-1) ?? text;
}
