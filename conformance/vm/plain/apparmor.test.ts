/** AppArmor: a kernel that has it confines what a pod asks to be confined, and Berth's own profile holds what it says. */

import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { LinuxContainerSecurityContext } from '../../../src/cri-server/generated/runtime/v1/LinuxContainerSecurityContext.ts';
import { textOf } from '../../harness/cri-log.ts';
import { busybox } from '../../harness/images.ts';
import type { Pod } from '../../harness/kubelet.ts';
import { expectCode, useStage } from '../../harness/stage.ts';

const stage = useStage({ images: { busybox }, enforceLimits: true });

const NAME = 'berth-test-no-tmp';
const POLICY = `profile ${NAME} flags=(attach_disconnected) { file, network, capability, signal, deny /tmp/** w, }`;
const current = 'cat /proc/self/attr/current';

async function parser(option: '--replace' | '--remove'): Promise<void> {
  const file = path.join(await stage.directory('policies'), NAME);
  await writeFile(file, POLICY);
  execFileSync('apparmor_parser', [option, '--skip-cache', file]);
}

afterAll(() => {
  try {
    writeFileSync('/sys/kernel/security/apparmor/.remove', NAME);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
});

async function output(pod: Pod, security_context: LinuxContainerSecurityContext, script: string, name = 'main'): Promise<string> {
  const options = { name, image: stage.ref('busybox'), command: ['sh', '-c', script], linux: { security_context } };
  return textOf((await stage.kubelet.runToEnd(pod, options)).lines, 'stdout');
}

const localhost = (localhost_ref: string) => ({ apparmor: { profile_type: 'Localhost', localhost_ref } }) as const;

test('what a request asks for is what the process runs under', async () => {
  const { kubelet } = stage;
  await parser('--replace');
  const pod = await kubelet.runPod({ linux: { security_context: { privileged: true } } });
  const cases: readonly (readonly [string, LinuxContainerSecurityContext, string])[] = [
    ['nothing', {}, 'berth-default (enforce)'],
    ['default', { apparmor: { profile_type: 'RuntimeDefault' } }, 'berth-default (enforce)'],
    ['old-default', { apparmor_profile: 'runtime/default' }, 'berth-default (enforce)'],
    ['unconfined', { apparmor: { profile_type: 'Unconfined' } }, 'unconfined'],
    ['old-unconfined', { apparmor_profile: 'unconfined' }, 'unconfined'],
    ['named', localhost(NAME), `${NAME} (enforce)`],
    ['old-named', { apparmor_profile: `localhost/${NAME}` }, `${NAME} (enforce)`],
    ['both', { ...localhost(NAME), apparmor_profile: 'localhost/nothing' }, `${NAME} (enforce)`],
    ['user', { no_new_privs: true, run_as_user: { value: '1000' }, seccomp: { profile_type: 'RuntimeDefault' } }, 'berth-default (enforce)'],
    ['privileged', { privileged: true }, 'unconfined'],
    ['privileged-named', { privileged: true, ...localhost(NAME) }, `${NAME} (enforce)`],
  ];
  for (const [name, security, profile] of cases) expect(`${name}: ${await output(pod, security, current, name)}`).toBe(`${name}: ${profile}\n`);
  await kubelet.removePod(pod);
});

test('a profile confines the container and the commands run in it', async () => {
  const { kubelet } = stage;
  await parser('--replace');
  const pod = await kubelet.runPod();
  const id = await kubelet.run(pod, { image: stage.ref('busybox'), command: ['sleep', '1000'], linux: { security_context: localhost(NAME) } });
  expect((await kubelet.exec(id, 'cat', '/proc/self/attr/current')).stdout).toBe(`${NAME} (enforce)\n`);
  expect(await kubelet.exec(id, 'touch', '/tmp/file')).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('Permission denied') as string });
  expect(await kubelet.exec(id, 'touch', '/root/file')).toMatchObject({ exitCode: 0 });
  await kubelet.removePod(pod);
});

test('a profile that is not loaded is refused', async () => {
  const { kubelet } = stage;
  await parser('--replace');
  await parser('--remove');
  const pod = await kubelet.runPod();
  const image = stage.ref('busybox');
  const message = new RegExp(`AppArmor profile "${NAME}" is not loaded on this node`);
  await expectCode(kubelet.create(pod, { image, linux: { security_context: localhost(NAME) } }), 'INVALID_ARGUMENT', message);
  await expectCode(kubelet.create(pod, { image, linux: { security_context: { apparmor_profile: `localhost/${NAME}` } } }), 'INVALID_ARGUMENT', message);
  await kubelet.removePod(pod);
});

test('the default profile is there again when somebody has removed it', async () => {
  const pod = await stage.kubelet.runPod();
  writeFileSync('/sys/kernel/security/apparmor/.remove', 'berth-default');
  expect(await output(pod, {}, current)).toBe('berth-default (enforce)\n');
  await stage.kubelet.removePod(pod);
});

/** With every capability, nothing masked and no filter, there is AppArmor alone between the script and its aim. */
const bare: LinuxContainerSecurityContext = { capabilities: { add_capabilities: ['ALL'] }, masked_paths: [], readonly_paths: [] };

test.each([
  ['mounts', 'mkdir /mnt; mount -t tmpfs none /mnt'],
  ['bind mounts', 'mkdir /mnt; mount -o bind /tmp /mnt'],
  ['remounts', 'mount -o remount,rw /sys'],
  ['files right in /proc', 'echo h > /proc/sysrq-trigger'],
  ['/proc/sys outside kernel', 'cat /proc/sys/vm/swappiness > /proc/sys/vm/swappiness'],
  ['most of /proc/sys/kernel', 'cat /proc/sys/kernel/core_pattern > /proc/sys/kernel/core_pattern'],
  ['/proc/irq', 'cat /proc/irq/default_smp_affinity > /proc/irq/default_smp_affinity'],
])('the default profile denies %s, which an unconfined container may do', async (_, action) => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  const script = `${action} 2>/dev/null; echo $?`;
  expect(await output(pod, bare, script, 'confined')).not.toBe('0\n');
  // That it may be opened for writing is enough where writing would reach the machine.
  const allowed = action.startsWith('echo h') ? 'test -w /proc/sysrq-trigger; echo $?' : script;
  expect(await output(pod, { ...bare, apparmor: { profile_type: 'Unconfined' } }, allowed, 'unconfined')).toBe('0\n');
  await kubelet.removePod(pod);
});

test('the default profile leaves a container what it needs', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  const script = [
    'echo x > /tmp/file && chown 1000:1000 /tmp/file && mkdir /dir && ln -s /dir /link',
    'sleep 100 & kill $! && wait $!; test $? = 143',
    'echo 100 > /proc/self/oom_score_adj',
    'cat /proc/1/environ > /dev/null',
    'echo done',
  ].join(' && ');
  expect(await output(pod, {}, script)).toBe('done\n');
  const id = await kubelet.run(pod, { name: 'stopped', image: stage.ref('busybox'), command: ['sh', '-c', 'trap "exit 7" TERM; while :; do sleep 0.1; done'] });
  await stage.cri.call('StopContainer', { container_id: id, timeout: 30 });
  expect(await kubelet.status(id)).toMatchObject({ exit_code: 7 });
  await kubelet.removePod(pod);
});
