import { expect, test } from 'vitest';
import type { CodeName } from '../harness/cri-client.ts';
import { busybox } from '../harness/images.ts';
import type { ContainerOptions } from '../harness/kubelet.ts';
import { expectCode, useStage } from '../harness/stage.ts';

const stage = useStage({ images: { busybox } });

test('an unknown runtime handler is refused by name, and no pod is made', async () => {
  const { cri, kubelet } = stage;
  const config = await kubelet.podConfig();
  await expectCode(cri.call('RunPodSandbox', { config, runtime_handler: 'no-such-handler' }), 'INVALID_ARGUMENT', /no-such-handler/);
  expect((await cri.call('ListPodSandbox', {})).items).toEqual([]);
  await kubelet.removePod({ id: 'f'.repeat(64), config });
});

interface Refusal {
  readonly what: string;
  readonly options: Omit<ContainerOptions, 'image'> & { readonly image?: string };
  readonly code: CodeName;
  readonly message: RegExp;
}

const refusals: readonly Refusal[] = [
  { what: 'a command that does not exist', options: { command: ['/no/such/command'] }, code: 'INVALID_ARGUMENT', message: /\/no\/such\/command.*(ENOENT|No such file)/s },
  { what: 'a command that is not in PATH', options: { command: ['no-such-command'] }, code: 'INVALID_ARGUMENT', message: /no-such-command/ },
  { what: 'a command that is not executable', options: { command: ['/etc/passwd'] }, code: 'INVALID_ARGUMENT', message: /\/etc\/passwd.*(EACCES|ermission denied)/s },
  { what: 'a command that is a directory', options: { command: ['/etc'] }, code: 'INVALID_ARGUMENT', message: /\/etc/ },
  {
    what: 'a mount source that does not exist',
    options: { command: ['true'], mounts: [{ container_path: '/mnt', host_path: '/no/such/source' }] },
    code: 'INVALID_ARGUMENT',
    message: /\/no\/such\/source/,
  },
  {
    what: 'a mount destination that is relative and empty',
    options: { command: ['true'], mounts: [{ container_path: '', host_path: '/tmp' }] },
    code: 'INVALID_ARGUMENT',
    message: /container_path/,
  },
  { what: 'an image that was never pulled', options: { image: 'registry.example/never:pulled', command: ['true'] }, code: 'NOT_FOUND', message: /never/ },
  { what: 'a name that is empty', options: { name: '', command: ['true'] }, code: 'INVALID_ARGUMENT', message: /name/ },
  {
    what: 'a device that the node does not have',
    options: { command: ['true'], devices: [{ host_path: '/dev/no-such-device', container_path: '/dev/x', permissions: 'rwm' }] },
    code: 'INVALID_ARGUMENT',
    message: /no-such-device/,
  },
  {
    what: 'a capability that no kernel has',
    options: { command: ['true'], linux: { security_context: { capabilities: { add_capabilities: ['FLY'] } } } },
    code: 'INVALID_ARGUMENT',
    message: /FLY/,
  },
];

test.each(refusals)('$what is refused, and nothing is left of the container', async ({ options, code, message }) => {
  const { cri, kubelet } = stage;
  const pod = await kubelet.runPod();
  const full = { ...options, image: options.image ?? stage.ref('busybox') };
  await expectCode(kubelet.create(pod, full), code, message);
  expect((await cri.call('ListContainers', {})).containers).toEqual([]);
  // The name is free: the same container, put right, can be made.
  const id = await kubelet.run(pod, { name: options.name || 'main', image: stage.ref('busybox'), command: ['sleep', '1000'] });
  expect((await kubelet.exec(id, 'echo', 'works')).stdout).toBe('works\n');
  await kubelet.removePod(pod);
});

test('a request without what it needs is refused by the field\'s name', async () => {
  const { cri, kubelet } = stage;
  await expectCode(cri.call('RunPodSandbox', {}), 'INVALID_ARGUMENT', /config/);
  await expectCode(cri.call('RunPodSandbox', { config: {} }), 'INVALID_ARGUMENT', /metadata/);
  const pod = await kubelet.runPod();
  const request = { pod_sandbox_id: pod.id, sandbox_config: pod.config };
  await expectCode(cri.call('CreateContainer', request), 'INVALID_ARGUMENT', /config/);
  await expectCode(cri.call('CreateContainer', { ...request, config: { image: { image: stage.ref('busybox') } } }), 'INVALID_ARGUMENT', /metadata/);
  await expectCode(cri.call('CreateContainer', { ...request, config: { metadata: { name: 'x' } } }), 'INVALID_ARGUMENT', /image/);
  await kubelet.removePod(pod);
});
