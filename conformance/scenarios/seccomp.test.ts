/** seccomp: what a pod asks for, in every form, is what its processes run under. */

import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import type { LinuxContainerSecurityContext } from '../../src/cri-server/generated/runtime/v1/LinuxContainerSecurityContext.ts';
import { textOf } from '../harness/cri-log.ts';
import { busybox } from '../harness/images.ts';
import type { Pod } from '../harness/kubelet.ts';
import { expectCode, useStage } from '../harness/stage.ts';

const stage = useStage({ images: { busybox } });

/** One that denies what busybox's chmod does. */
const noChmod = {
  defaultAction: 'SCMP_ACT_ALLOW',
  syscalls: [{ names: ['chmod', 'fchmodat', 'fchmodat2'], action: 'SCMP_ACT_ERRNO' }],
};

async function profileFile(content: unknown, name = 'profile.json'): Promise<string> {
  const file = path.join(await stage.directory('profiles'), name);
  await writeFile(file, typeof content === 'string' ? content : JSON.stringify(content));
  return file;
}

/** What the script prints in a container with this security context. */
async function output(pod: Pod, security_context: LinuxContainerSecurityContext, script: string, name = 'main'): Promise<string> {
  const { lines } = await stage.kubelet.runToEnd(pod, {
    name,
    image: stage.ref('busybox'),
    command: ['sh', '-c', script],
    linux: { security_context },
  });
  return textOf(lines, 'stdout');
}

const mode = 'grep -E "^Seccomp:" /proc/self/status | tr -d "\\t"';

test.each([
  ['nothing', {}, 0],
  ['RuntimeDefault', { seccomp: { profile_type: 'RuntimeDefault' } }, 2],
  ['Unconfined', { seccomp: { profile_type: 'Unconfined' } }, 0],
  ['"runtime/default"', { seccomp_profile_path: 'runtime/default' }, 2],
  ['"docker/default"', { seccomp_profile_path: 'docker/default' }, 2],
  ['"unconfined"', { seccomp_profile_path: 'unconfined' }, 0],
  ['a field beside its deprecated form', { seccomp: { profile_type: 'Unconfined' }, seccomp_profile_path: 'runtime/default' }, 0],
  ['RuntimeDefault with no_new_privs, as a user', { seccomp: { profile_type: 'RuntimeDefault' }, no_new_privs: true, run_as_user: { value: '1000' } }, 2],
  ['RuntimeDefault with all capabilities', { seccomp: { profile_type: 'RuntimeDefault' }, capabilities: { add_capabilities: ['ALL'] } }, 2],
] as const)('a container that asks for %s', async (_, security, expected) => {
  const pod = await stage.kubelet.runPod();
  expect(await output(pod, structuredClone(security) as LinuxContainerSecurityContext, mode)).toBe(`Seccomp:${expected}\n`);
  await stage.kubelet.removePod(pod);
});

test('a privileged container has no filter, whatever it asks for', async () => {
  const pod = await stage.kubelet.runPod({ linux: { security_context: { privileged: true } } });
  expect(await output(pod, { privileged: true, seccomp: { profile_type: 'RuntimeDefault' } }, mode)).toBe('Seccomp:0\n');
  await stage.kubelet.removePod(pod);
});

test('the default profile lets no container make a user namespace, and one with CAP_SYS_ADMIN may', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  const seccomp = { profile_type: 'RuntimeDefault' } as const;
  const script = 'unshare -U true 2>/dev/null; echo $?';
  expect(await output(pod, { seccomp }, script, 'plain')).toBe('1\n');
  expect(await output(pod, { seccomp, capabilities: { add_capabilities: ['SYS_ADMIN'] } }, script, 'admin')).toBe('0\n');
  expect(await output(pod, {}, script, 'unconfined')).toBe('0\n');
  await kubelet.removePod(pod);
});

test('a command in the container is under the container\'s filter', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  const security_context = { seccomp: { profile_type: 'Localhost', localhost_ref: await profileFile(noChmod) } } as const;
  const id = await kubelet.run(pod, { image: stage.ref('busybox'), command: ['sleep', '1000'], linux: { security_context } });
  expect(await kubelet.exec(id, 'chmod', '700', '/tmp')).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('Operation not permitted') as string });
  expect((await kubelet.exec(id, 'sh', '-c', mode)).stdout).toBe('Seccomp:2\n');
  expect(readFileSync(`/proc/${await kubelet.pidOf(id)}/status`, 'utf8')).toMatch(/^Seccomp:\t2$/m);
  await kubelet.removePod(pod);
});

test('a profile file counts as it is when the container is made', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  const localhost_ref = await profileFile(noChmod, 'changing.json');
  const seccomp = { profile_type: 'Localhost', localhost_ref } as const;
  const script = 'chmod 700 /tmp 2>/dev/null; echo $?';
  expect(await output(pod, { seccomp }, script, 'one')).toBe('1\n');
  await writeFile(localhost_ref, JSON.stringify({ defaultAction: 'SCMP_ACT_ALLOW' }));
  expect(await output(pod, { seccomp }, script, 'two')).toBe('0\n');
  expect(await output(pod, { seccomp_profile_path: `localhost/${localhost_ref}` }, script, 'three')).toBe('0\n');
  await kubelet.removePod(pod);
});

test('a filter that allows little more than an exec is loaded so late that the container starts', async () => {
  const pod = await stage.kubelet.runPod();
  const denied = ['mount', 'umount2', 'pivot_root', 'setresuid', 'setresgid', 'setgroups', 'prctl', 'chdir', 'fchdir', 'close_range', 'openat2', 'capget'];
  const localhost_ref = await profileFile({ defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names: denied, action: 'SCMP_ACT_ERRNO' }] });
  const security = { seccomp: { profile_type: 'Localhost', localhost_ref }, run_as_user: { value: '1000' } } as const;
  expect(await output(pod, security, mode)).toBe('Seccomp:2\n');
  await stage.kubelet.removePod(pod);
});

test.each([
  ['that does not exist', undefined, /seccomp\.localhost_ref: .*cannot be read: ENOENT/],
  ['that is no JSON', 'defaultAction', /seccomp\.localhost_ref: .*profile\.json: not valid JSON: line 1/],
  ['with an unknown action', { defaultAction: 'ALLOW' }, /profile\.json: defaultAction: "ALLOW" is not an action/],
  ['with a listener', { defaultAction: 'SCMP_ACT_ALLOW', listenerPath: '/run/agent.sock' }, /profile\.json: listenerPath: /],
  ['with a wrong argument', { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names: ['read'], action: 'SCMP_ACT_ERRNO', args: [{ index: 9 }] }] }, /syscalls\[0\]\.args\[0\]\.index/],
])('a profile %s is refused by field, file and member', async (_, content, message) => {
  const pod = await stage.kubelet.runPod();
  const localhost_ref = content === undefined ? '/nowhere/profile.json' : await profileFile(content);
  const security_context = { seccomp: { profile_type: 'Localhost', localhost_ref } } as const;
  await expectCode(stage.kubelet.create(pod, { image: stage.ref('busybox'), linux: { security_context } }), 'INVALID_ARGUMENT', message);
  await stage.kubelet.removePod(pod);
});

test('profiles of a pod are checked, though no process of its own is there to run under them', async () => {
  const { kubelet } = stage;
  const security_context = { seccomp: { profile_type: 'Localhost' } } as const;
  await expectCode(kubelet.runPod({ linux: { security_context } }), 'INVALID_ARGUMENT', /seccomp\.localhost_ref: is empty/);
  const pod = await kubelet.runPod({ linux: { security_context: { seccomp: { profile_type: 'Localhost', localhost_ref: '/nowhere/profile.json' } } } });
  await kubelet.removePod(pod);
  // The cgroup that was made for the one that was refused.
  await kubelet.removeAll();
});

const hasAppArmor = (() => {
  try {
    return readFileSync('/sys/module/apparmor/parameters/enabled', 'utf8').startsWith('Y');
  } catch {
    return false;
  }
})();

test.skipIf(hasAppArmor)('on a node without AppArmor a named profile is refused, and the default one is none', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  const image = stage.ref('busybox');
  for (const security_context of [{ apparmor: { profile_type: 'Localhost', localhost_ref: 'mine' } }, { apparmor_profile: 'localhost/mine' }] as const) {
    await expectCode(kubelet.create(pod, { image, linux: { security_context } }), 'INVALID_ARGUMENT', /"mine" cannot be used: this node has no AppArmor/);
  }
  expect(await output(pod, { apparmor: { profile_type: 'RuntimeDefault' } }, 'echo up')).toBe('up\n');
  await kubelet.removePod(pod);
});
