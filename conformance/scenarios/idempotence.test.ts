import { expect, test } from 'vitest';
import { busybox } from '../harness/images.ts';
import { expectCode, useStage } from '../harness/stage.ts';
import { eventually } from '../harness/wait.ts';

const stage = useStage({ images: { busybox } });

const NOBODY = 'f'.repeat(64);
const sleeper = (name = 'main'): { name: string; image: string; command: string[] } => ({
  name,
  image: stage.ref('busybox'),
  command: ['sleep', '1000'],
});

test('stopping and removing twice is the same as once', async () => {
  const { cri, kubelet } = stage;
  const pod = await kubelet.runPod();
  const id = await kubelet.run(pod, sleeper());
  for (let time = 0; time < 2; time += 1) await cri.call('StopContainer', { container_id: id, timeout: 0 });
  for (let time = 0; time < 2; time += 1) await cri.call('RemoveContainer', { container_id: id });
  for (let time = 0; time < 2; time += 1) await cri.call('StopPodSandbox', { pod_sandbox_id: pod.id });
  for (let time = 0; time < 2; time += 1) await cri.call('RemovePodSandbox', { pod_sandbox_id: pod.id });
  await kubelet.removePod(pod);
});

test('stopping and removing what never was succeeds', async () => {
  const { cri } = stage;
  await cri.call('StopContainer', { container_id: NOBODY, timeout: 0 });
  await cri.call('RemoveContainer', { container_id: NOBODY });
  await cri.call('StopPodSandbox', { pod_sandbox_id: NOBODY });
  await cri.call('RemovePodSandbox', { pod_sandbox_id: NOBODY });
});

test('asking after what never was says NOT_FOUND', async () => {
  const { cri, kubelet } = stage;
  await expectCode(cri.call('ContainerStatus', { container_id: NOBODY }), 'NOT_FOUND', /f{12}/);
  await expectCode(cri.call('PodSandboxStatus', { pod_sandbox_id: NOBODY }), 'NOT_FOUND', /f{12}/);
  await expectCode(cri.call('StartContainer', { container_id: NOBODY }), 'NOT_FOUND');
  await expectCode(cri.call('ExecSync', { container_id: NOBODY, cmd: ['true'], timeout: 5 }), 'NOT_FOUND');
  const config = await kubelet.podConfig();
  await expectCode(kubelet.create({ id: NOBODY, config }, sleeper()), 'NOT_FOUND');
  await kubelet.removePod({ id: NOBODY, config });
});

test('an id may be given by its first digits, as long as they mean one object', async () => {
  const { cri, kubelet } = stage;
  const pod = await kubelet.runPod();
  const ids: string[] = [];
  // Of seventeen hexadecimal ids two begin alike.
  for (let number = 0; number < 17; number += 1) ids.push(await kubelet.create(pod, sleeper(`c${number}`)));
  const first = ids[0] ?? '';
  expect((await kubelet.status(first.slice(0, 16))).id).toBe(first);
  expect((await kubelet.podStatus(pod.id.slice(0, 12))).id).toBe(pod.id);
  const shared = ids.find((id) => ids.filter((other) => other.startsWith(id.slice(0, 1))).length > 1)?.slice(0, 1) ?? '';
  await expectCode(cri.call('ContainerStatus', { container_id: shared }), 'INVALID_ARGUMENT', /digits|ambiguous/i);
  await expectCode(cri.call('RemoveContainer', { container_id: shared }), 'INVALID_ARGUMENT', /digits|ambiguous/i);
  await expectCode(cri.call('ContainerStatus', { container_id: '' }), 'NOT_FOUND');
  await cri.call('RemoveContainer', { container_id: first.slice(0, 20) });
  expect((await cri.call('ListContainers', {})).containers).toHaveLength(16);
  await kubelet.removePod(pod);
});

test('a container starts once', async () => {
  const { cri, kubelet } = stage;
  const pod = await kubelet.runPod();
  const id = await kubelet.run(pod, sleeper());
  await expectCode(cri.call('StartContainer', { container_id: id }), 'FAILED_PRECONDITION', /running/i);
  await cri.call('StopContainer', { container_id: id, timeout: 0 });
  await expectCode(cri.call('StartContainer', { container_id: id }), 'FAILED_PRECONDITION', /exited/i);
  await expectCode(cri.call('ExecSync', { container_id: id, cmd: ['true'], timeout: 5 }), 'FAILED_PRECONDITION', /exited/i);
  await kubelet.removePod(pod);
});

test('a created container can be stopped and removed without ever starting', async () => {
  const { cri, kubelet } = stage;
  const pod = await kubelet.runPod();
  const stopped = await kubelet.create(pod, sleeper('stopped'));
  await cri.call('StopContainer', { container_id: stopped, timeout: 5 });
  const removed = await kubelet.create(pod, sleeper('removed'));
  await cri.call('RemoveContainer', { container_id: removed });
  await cri.call('RemoveContainer', { container_id: stopped });
  await kubelet.removePod(pod);
});

test('a stopped pod takes no more containers', async () => {
  const { cri, kubelet } = stage;
  const pod = await kubelet.runPod();
  await cri.call('StopPodSandbox', { pod_sandbox_id: pod.id });
  await expectCode(kubelet.create(pod, sleeper()), 'FAILED_PRECONDITION', /not ready|NOTREADY|stopped/i);
  expect((await cri.call('ListContainers', {})).containers).toEqual([]);
  await kubelet.removePod(pod);
});

test('two calls that stop the same container both succeed, and the shorter grace counts', async () => {
  const { cri, kubelet } = stage;
  const pod = await kubelet.runPod();
  const id = await kubelet.run(pod, {
    image: stage.ref('busybox'),
    command: ['sh', '-c', 'trap "" TERM; echo up; while :; do sleep 0.1; done'],
  });
  await eventually('the signal is ignored', async () => ((await kubelet.logs(pod)).length > 0 ? true : undefined));
  const patient = cri.call('StopContainer', { container_id: id, timeout: 3600 });
  await cri.call('StopContainer', { container_id: id, timeout: 0 });
  await patient;
  expect(await kubelet.status(id)).toMatchObject({ state: 'CONTAINER_EXITED', exit_code: 137 });
  await kubelet.removePod(pod);
});

test('a cancelled stop does not kill', async () => {
  const { cri, kubelet } = stage;
  const pod = await kubelet.runPod();
  const id = await kubelet.run(pod, {
    image: stage.ref('busybox'),
    command: ['sh', '-c', 'trap "echo asked" TERM; echo up; while :; do sleep 0.1; done'],
  });
  await eventually('the trap is set', async () => ((await kubelet.logs(pod)).length > 0 ? true : undefined));
  const cancel = new AbortController();
  const stop = cri.call('StopContainer', { container_id: id, timeout: 3600 }, { signal: cancel.signal });
  await eventually('the container was asked', async () => ((await kubelet.logs(pod)).length > 1 ? true : undefined));
  cancel.abort();
  await expectCode(stop, 'CANCELLED');
  expect((await kubelet.status(id)).state).toBe('CONTAINER_RUNNING');
  await kubelet.removePod(pod);
});
