/** The machine itself: what the tests that run in it rely on. */

import { execFile } from 'node:child_process';
import { lookup } from 'node:dns/promises';
import { mkdir, mkdtemp, readFile, rm, rmdir, writeFile } from 'node:fs/promises';
import { hostname, release, tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const run = promisify(execFile);
const CONTROLLERS = ['cpu', 'cpuset', 'io', 'memory', 'pids', 'hugetlb'];

const words = async (file: string): Promise<string[]> => (await readFile(file, 'utf8')).trim().split(/\s+/);

/** A cgroup below the root with these values, for as long as `use` takes. */
async function inCgroup(values: Readonly<Record<string, string>>, use: (directory: string) => Promise<void>): Promise<void> {
  const directory = `/sys/fs/cgroup/machine-test-${process.pid}`;
  await mkdir(directory);
  try {
    for (const [file, value] of Object.entries(values)) await writeFile(path.join(directory, file), value);
    await use(directory);
  } finally {
    await rmdir(directory);
  }
}

/** How a shell script ends that begins by entering the cgroup. */
async function endOf(directory: string, script: string): Promise<{ code?: number | string | null; signal?: string | null; stderr: string }> {
  const entered = `echo $$ >${directory}/cgroup.procs; ${script}`;
  return run('sh', ['-c', entered]).then(
    ({ stderr }) => ({ code: 0, signal: null, stderr }),
    (error: unknown) => error as { code?: number | string | null; signal?: string | null; stderr: string },
  );
}

test('the kernel is the packaged one', () => {
  expect(release()).toMatch(/^6\.12\..*-amd64$/);
});

test('cgroup v2 is the only one, with every controller for everybody below the root', async () => {
  const mounts = (await readFile('/proc/self/mounts', 'utf8')).split('\n').filter((line) => / cgroup2? /.test(line));
  expect(mounts).toHaveLength(1);
  expect(mounts[0]).toMatch(/ \/sys\/fs\/cgroup cgroup2 /);
  expect(await words('/sys/fs/cgroup/cgroup.subtree_control')).toEqual(expect.arrayContaining(CONTROLLERS));
});

test('a process that wants more memory than its cgroup has is killed', async () => {
  await inCgroup({ 'memory.max': '33554432', 'memory.swap.max': '0' }, async (directory) => {
    expect(await endOf(directory, 'exec tail /dev/zero')).toMatchObject({ signal: 'SIGKILL' });
    expect(await readFile(path.join(directory, 'memory.events'), 'utf8')).toMatch(/^oom_kill 1$/m);
  });
});

test('a fork beyond the limit of processes is refused', async () => {
  await inCgroup({ 'pids.max': '1' }, async (directory) => {
    expect((await endOf(directory, '/bin/true; echo not reached')).stderr).toMatch(/fork/i);
  });
});

test('pressure is measured', async () => {
  for (const resource of ['cpu', 'memory', 'io']) {
    expect(await readFile(`/proc/pressure/${resource}`, 'utf8')).toMatch(/^some avg10=/);
  }
});

test('AppArmor is on, and confines', async () => {
  expect(await words('/sys/module/apparmor/parameters/enabled')).toEqual(['Y']);
  const directory = await mkdtemp(path.join(tmpdir(), 'machine-test-'));
  const profile = path.join(directory, 'profile');
  const readHosts = ['-p', 'machine-test', '--', 'cat', '/etc/hosts'];
  try {
    // Node's pipes are sockets, which a confined process may not keep without a rule.
    await writeFile(profile, 'profile machine-test {\n  file,\n  unix,\n  deny /etc/hosts r,\n}\n');
    await run('apparmor_parser', ['--replace', '--skip-cache', profile]);
    await expect(run('aa-exec', readHosts)).rejects.toThrow(/Permission denied/);
    await writeFile(profile, 'profile machine-test {\n  file,\n  unix,\n}\n');
    await run('apparmor_parser', ['--replace', '--skip-cache', profile]);
    expect((await run('aa-exec', readHosts)).stdout).toContain('localhost');
  } finally {
    await run('apparmor_parser', ['--remove', profile]);
    await rm(directory, { recursive: true });
  }
});

test('the root can be written, also where it is the checkout', async () => {
  for (const file of ['/etc/machine-test', path.join(import.meta.dirname, 'machine-test')]) {
    await writeFile(file, 'written');
    expect(await readFile(file, 'utf8')).toBe('written');
    await rm(file);
  }
});

test('overlays for containers can be made where berthd and the tests keep them', async () => {
  for (const parent of ['/tmp', '/var/lib/berth']) {
    const directory = await mkdtemp(path.join(parent, 'overlay-'));
    const at = (name: string): string => path.join(directory, name);
    for (const name of ['lower', 'upper', 'work', 'merged']) await mkdir(at(name));
    await writeFile(at('lower/file'), 'below');
    await run('mount', ['-t', 'overlay', '-o', `lowerdir=${at('lower')},upperdir=${at('upper')},workdir=${at('work')}`, 'overlay', at('merged')]);
    try {
      await rm(at('merged/file'));
      await expect(readFile(at('merged/file'))).rejects.toMatchObject({ code: 'ENOENT' });
      expect(await readFile(at('lower/file'), 'utf8')).toBe('below');
    } finally {
      await run('umount', [at('merged')]);
      await rm(directory, { recursive: true });
    }
  }
});

test('the machine finds itself by name, and sudo has nothing to complain of', async () => {
  expect((await lookup(hostname(), { family: 4 })).address).toBe('127.0.0.1');
  expect(await run('sudo', ['-n', 'true'])).toMatchObject({ stdout: '', stderr: '' });
});

test('kernel modules load', async () => {
  for (const module of ['veth', 'bridge', 'nf_tables', 'ext4']) await run('modprobe', [module]);
  expect(await readFile('/proc/modules', 'utf8')).toMatch(/^veth /m);
});
