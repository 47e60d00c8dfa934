import { expect, test } from 'vitest';
import type { ContainerFilter } from '../../src/cri-server/generated/runtime/v1/ContainerFilter.ts';
import type { PodSandboxFilter } from '../../src/cri-server/generated/runtime/v1/PodSandboxFilter.ts';
import { busybox } from '../harness/images.ts';
import { useStage } from '../harness/stage.ts';

const stage = useStage({ images: { busybox } });

const podIds = async (filter: PodSandboxFilter): Promise<string[]> =>
  (await stage.cri.call('ListPodSandbox', { filter })).items.map(({ id }) => id).sort();
const containerIds = async (filter: ContainerFilter): Promise<string[]> =>
  (await stage.cri.call('ListContainers', { filter })).containers.map(({ id }) => id).sort();

test('pods are found by id, state and labels, alone and together', async () => {
  const { cri, kubelet } = stage;
  const red = await kubelet.runPod({ labels: { colour: 'red', size: 'big' } });
  const blue = await kubelet.runPod({ labels: { colour: 'blue', size: 'big' } });
  const stopped = await kubelet.runPod({ labels: { colour: 'red', size: 'small' } });
  await cri.call('StopPodSandbox', { pod_sandbox_id: stopped.id });

  expect(await podIds({})).toEqual([red.id, blue.id, stopped.id].sort());
  expect(await podIds({ id: red.id })).toEqual([red.id]);
  expect(await podIds({ id: red.id.slice(0, 16) })).toEqual([red.id]);
  expect(await podIds({ id: 'f'.repeat(64) })).toEqual([]);
  expect(await podIds({ label_selector: { colour: 'red' } })).toEqual([red.id, stopped.id].sort());
  expect(await podIds({ label_selector: { colour: 'red', size: 'big' } })).toEqual([red.id]);
  expect(await podIds({ label_selector: { colour: 'green' } })).toEqual([]);
  expect(await podIds({ state: { state: 'SANDBOX_READY' } })).toEqual([red.id, blue.id].sort());
  expect(await podIds({ state: { state: 'SANDBOX_NOTREADY' } })).toEqual([stopped.id]);
  expect(await podIds({ state: { state: 'SANDBOX_NOTREADY' }, label_selector: { size: 'big' } })).toEqual([]);
  for (const pod of [red, blue, stopped]) await kubelet.removePod(pod);
});

test('a pod is listed with what it was made with', async () => {
  const { cri, kubelet } = stage;
  const labels = { 'io.kubernetes.pod.name': 'listed', empty: '' };
  const annotations = { 'example.org/text': 'with spaces, "quotes" and ünïcode\n' };
  const pod = await kubelet.runPod({ metadata: { name: 'listed', namespace: 'space', uid: 'some-uid', attempt: 3 }, labels, annotations });
  const [item] = (await cri.call('ListPodSandbox', {})).items;
  expect(item).toMatchObject({
    id: pod.id,
    metadata: { name: 'listed', namespace: 'space', uid: 'some-uid', attempt: 3 },
    state: 'SANDBOX_READY',
    labels,
    annotations,
    runtime_handler: '',
  });
  const status = await kubelet.podStatus(pod.id);
  expect(status).toMatchObject({ id: pod.id, labels, annotations, created_at: item?.created_at });
  expect(status.linux?.namespaces?.options).toMatchObject({ network: 'POD', pid: 'CONTAINER', ipc: 'POD' });
  await kubelet.removePod(pod);
});

test('containers are found by id, pod, state and labels, alone and together', async () => {
  const { cri, kubelet } = stage;
  const image = stage.ref('busybox');
  const one = await kubelet.runPod();
  const two = await kubelet.runPod();
  const created = await kubelet.create(one, { name: 'created', image, command: ['true'], labels: { tier: 'a' } });
  const running = await kubelet.run(one, { name: 'running', image, command: ['sleep', '1000'], labels: { tier: 'b' } });
  const exited = await kubelet.run(two, { name: 'exited', image, command: ['true'], labels: { tier: 'a' } });
  await kubelet.waitExited(exited);

  expect(await containerIds({})).toEqual([created, running, exited].sort());
  expect(await containerIds({ id: running })).toEqual([running]);
  expect(await containerIds({ id: running.slice(0, 16) })).toEqual([running]);
  expect(await containerIds({ pod_sandbox_id: one.id })).toEqual([created, running].sort());
  expect(await containerIds({ pod_sandbox_id: one.id.slice(0, 16) })).toEqual([created, running].sort());
  expect(await containerIds({ label_selector: { tier: 'a' } })).toEqual([created, exited].sort());
  expect(await containerIds({ state: { state: 'CONTAINER_CREATED' } })).toEqual([created]);
  expect(await containerIds({ state: { state: 'CONTAINER_RUNNING' } })).toEqual([running]);
  expect(await containerIds({ state: { state: 'CONTAINER_EXITED' } })).toEqual([exited]);
  expect(await containerIds({ pod_sandbox_id: one.id, label_selector: { tier: 'a' } })).toEqual([created]);
  expect(await containerIds({ pod_sandbox_id: two.id, state: { state: 'CONTAINER_RUNNING' } })).toEqual([]);
  expect((await cri.call('ListContainers', { filter: null })).containers).toHaveLength(3);
  await kubelet.removePod(one);
  await kubelet.removePod(two);
});

test('a container is listed with what it was made with', async () => {
  const { cri, kubelet } = stage;
  const pod = await kubelet.runPod();
  const labels = { 'io.kubernetes.container.name': 'listed' };
  const annotations = { 'io.kubernetes.container.hash': '1234' };
  const image = stage.ref('busybox');
  const id = await kubelet.run(pod, { name: 'listed', attempt: 2, image, command: ['sleep', '1000'], labels, annotations });
  const [item] = (await cri.call('ListContainers', {})).containers;
  expect(item).toMatchObject({
    id,
    pod_sandbox_id: pod.id,
    metadata: { name: 'listed', attempt: 2 },
    image: { image },
    image_id: busybox().id,
    state: 'CONTAINER_RUNNING',
    labels,
    annotations,
  });
  const status = await kubelet.status(id);
  expect(status).toMatchObject({
    id,
    metadata: { name: 'listed', attempt: 2 },
    image: { image },
    image_id: busybox().id,
    created_at: item?.created_at,
    labels,
    annotations,
    log_path: `${pod.config.log_directory}/listed/2.log`,
  });
  await kubelet.removePod(pod);
});
