/** systemd as the machine's init: what its cgroup driver needs. */

import { execFile } from 'node:child_process';
import { readFile, stat } from 'node:fs/promises';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const run = promisify(execFile);

test('systemd is PID 1 and has come up whole', async () => {
  expect((await readFile('/proc/1/comm', 'utf8')).trim()).toBe('systemd');
  // Waits for the end of the boot; fails when it is degraded.
  expect((await run('systemctl', ['is-system-running', '--wait'])).stdout.trim()).toBe('running');
});

test('systemd answers over D-Bus', async () => {
  expect((await stat('/run/dbus/system_bus_socket')).isSocket()).toBe(true);
  const property = ['org.freedesktop.systemd1', '/org/freedesktop/systemd1', 'org.freedesktop.systemd1.Manager', 'ControlGroup'];
  expect((await run('busctl', ['get-property', ...property])).stdout.trim()).toBe('s ""');
});

test('the cgroups are pure version 2 with every controller at the root', async () => {
  const enabled = (await readFile('/sys/fs/cgroup/cgroup.subtree_control', 'utf8')).trim().split(' ');
  expect(enabled).toEqual(expect.arrayContaining(['cpu', 'cpuset', 'io', 'memory', 'pids', 'hugetlb']));
  expect(await readFile('/proc/self/cgroup', 'utf8')).toBe('0::/system.slice/berth-vm.service\n');
});

test('a transient scope is made with its limit in the kernel\'s file', async () => {
  const script = 'cat "/sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup)/memory.max"';
  const { stdout } = await run('systemd-run', ['--scope', '--quiet', '--property=MemoryMax=64M', 'sh', '-c', script]);
  expect(stdout.trim()).toBe(String(64 * 1024 ** 2));
});
