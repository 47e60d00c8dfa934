/** Plain OCI bundles with a busybox root, and running them in the foreground: by Berth's shim and by runc. */

import { spawn } from 'node:child_process';
import { chownSync, cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { CGROUP_PREFIX, eventuallyRemove, unifiedMount } from '../harness/cgroup-base.ts';
import { BUSYBOX, GROUP, PASSWD } from '../harness/root-fs.ts';

/** config.json of the OCI runtime spec, as far as the tests write it. */
export interface OciConfig {
  ociVersion: string;
  process: Record<string, unknown>;
  root: { path: string; readonly: boolean };
  mounts: { destination: string; type: string; source: string; options: string[] }[];
  linux: Record<string, unknown> & { namespaces: { type: string; path?: string }[] };
  [member: string]: unknown;
}

const kernel = ['nosuid', 'noexec', 'nodev'];

/** What `runc spec` makes, with a program. */
export function baseConfig(args: readonly string[]): OciConfig {
  const capabilities = ['CAP_AUDIT_WRITE', 'CAP_KILL', 'CAP_NET_BIND_SERVICE'];
  return {
    ociVersion: '1.0.2',
    process: {
      terminal: false,
      user: { uid: 0, gid: 0 },
      args: [...args],
      env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'TERM=xterm'],
      cwd: '/',
      capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
      noNewPrivileges: false,
    },
    root: { path: 'rootfs', readonly: false },
    hostname: 'side-by-side',
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc', options: [] },
      { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'] },
      { destination: '/dev/pts', type: 'devpts', source: 'devpts', options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'] },
      { destination: '/dev/shm', type: 'tmpfs', source: 'shm', options: [...kernel, 'mode=1777', 'size=65536k'] },
      { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: kernel },
      { destination: '/sys', type: 'sysfs', source: 'sysfs', options: [...kernel, 'ro'] },
    ],
    linux: {
      namespaces: ['pid', 'network', 'ipc', 'uts', 'mount', 'cgroup'].map((type) => ({ type })),
      maskedPaths: ['/proc/acpi', '/proc/kcore', '/proc/keys', '/proc/timer_list', '/sys/firmware', '/proc/scsi'],
      readonlyPaths: ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
    },
  };
}

export interface Workshop {
  readonly directory: string;
  /** A directory on the host for mounts. */
  readonly shared: string;
  close(): void;
}

const applets = ['cat', 'sh', 'find', 'ls', 'readlink', 'stat', 'env', 'id', 'hostname', 'pwd', 'grep', 'sleep', 'mkdir', 'chmod', 'touch', 'mount', 'umount', 'sort', 'dd', 'unshare', 'mknod', 'chown', 'kill', 'head', 'test', 'echo', 'ln', 'rm', 'tty'];

export function openWorkshop(): Workshop {
  const directory = mkdtempSync(path.join(tmpdir(), 'berth-oci-'));
  const shared = path.join(directory, 'shared');
  mkdirSync(path.join(shared, 'inner'), { recursive: true });
  writeFileSync(path.join(shared, 'file'), 'shared\n');
  makeRoot(path.join(directory, 'root'));
  return { directory, shared, close: () => rmSync(directory, { recursive: true, force: true }) };
}

function makeRoot(root: string): void {
  for (const name of ['bin', 'etc', 'home/alice', 'tmp', 'proc', 'sys', 'dev', 'mnt', 'root']) mkdirSync(path.join(root, name), { recursive: true });
  cpSync(BUSYBOX, path.join(root, 'bin/busybox'));
  for (const name of applets) symlinkSync('busybox', path.join(root, 'bin', name));
  writeFileSync(path.join(root, 'etc/passwd'), PASSWD);
  writeFileSync(path.join(root, 'etc/group'), GROUP);
  chownSync(path.join(root, 'home/alice'), 1000, 1000);
}

export interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number;
}

let bundles = 0;

async function writeBundle(workshop: Workshop, config: OciConfig): Promise<{ bundle: string; id: string }> {
  bundles += 1;
  const id = bundles.toString(16).padStart(64, '0');
  const bundle = path.join(workshop.directory, `bundle-${bundles}`);
  await mkdir(bundle);
  cpSync(path.join(workshop.directory, 'root'), path.join(bundle, 'rootfs'), { recursive: true, verbatimSymlinks: true, preserveTimestamps: true });
  await writeFile(path.join(bundle, 'config.json'), JSON.stringify(config));
  return { bundle, id };
}

function run(program: string, args: readonly string[]): Promise<Outcome> {
  const { promise, resolve, reject } = Promise.withResolvers<Outcome>();
  const child = spawn(program, [...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const out: Record<'stdout' | 'stderr', string> = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) child[name].setEncoding('utf8').on('data', (text: string) => (out[name] += text));
  child.once('error', reject);
  child.once('close', (code, signal) => resolve({ ...out, exitCode: code ?? (signal === null ? -1 : 255) }));
  return promise;
}

const shim = fileURLToPath(new URL('../../dist/berth-shim', import.meta.url));

/** A fresh cgroup of the world's, so that whatever goes wrong it is removed with it. */
async function withCgroup<T>(id: string, work: (relative: string, absolute: string) => Promise<T>): Promise<T> {
  const relative = `/${CGROUP_PREFIX}${process.env['BERTH_WORLD'] ?? 'none'}-oci-${process.pid}-${id.slice(-6)}`;
  const absolute = path.join(unifiedMount(), relative);
  await mkdir(absolute);
  try {
    return await work(relative, absolute);
  } finally {
    // A process that was killed is in it for a moment more.
    await eventuallyRemove(absolute);
  }
}

/** `berth.json` gets more members from `berth`. */
export async function runByShim(workshop: Workshop, config: OciConfig, berth: object = {}): Promise<Outcome> {
  const { bundle, id } = await writeBundle(workshop, config);
  return withCgroup(id, async (_, cgroup) => {
    await writeFile(path.join(bundle, 'berth.json'), JSON.stringify({ id, cgroup, ...berth }));
    return run(shim, ['run', '--bundle', bundle]);
  });
}

export async function runByRunc(workshop: Workshop, config: OciConfig): Promise<Outcome> {
  const { id } = { id: `berth-test-${process.pid}-${bundles + 1}` };
  const linux = { ...config.linux, cgroupsPath: `/${CGROUP_PREFIX}${process.env['BERTH_WORLD'] ?? 'none'}-runc-${id}` };
  const { bundle } = await writeBundle(workshop, { ...config, linux });
  return run('runc', ['--root', path.join(workshop.directory, 'runc'), 'run', '--bundle', bundle, id]);
}
