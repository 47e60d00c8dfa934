import { expect, test } from 'vitest';
import { busybox } from '../harness/images.ts';
import { expectCode, useStage } from '../harness/stage.ts';

const stage = useStage({ images: { busybox } });

test('a second call for the same pod joins the first and gets the same pod', async () => {
  const { cri, kubelet } = stage;
  const config = await kubelet.podConfig();
  const answers = await Promise.all([1, 2, 3].map(() => cri.call('RunPodSandbox', { config })));
  expect(new Set(answers.map((answer) => answer.pod_sandbox_id)).size).toBe(1);
  expect((await cri.call('ListPodSandbox', {})).items).toHaveLength(1);
  await kubelet.removePod({ id: answers[0]?.pod_sandbox_id ?? '', config });
});

test('a retry after a lost call is never told that the name is reserved', async () => {
  const { cri, kubelet } = stage;
  const config = await kubelet.podConfig();
  const cancel = new AbortController();
  const lost = cri.call('RunPodSandbox', { config }, { signal: cancel.signal });
  const retry = cri.call('RunPodSandbox', { config });
  cancel.abort();
  await expectCode(lost, 'CANCELLED');
  const { pod_sandbox_id: id } = await retry;
  expect((await kubelet.podStatus(id)).state).toBe('SANDBOX_READY');
  expect((await cri.call('ListPodSandbox', {})).items).toHaveLength(1);
  await kubelet.removePod({ id, config });
});

test('another pod of the same name, namespace, uid and attempt is refused', async () => {
  const { cri, kubelet } = stage;
  const pod = await kubelet.runPod({ labels: { version: 'one' } });
  const other = { ...pod.config, labels: { version: 'two' } };
  await expectCode(cri.call('RunPodSandbox', { config: other }), 'ALREADY_EXISTS', new RegExp(pod.config.metadata?.name ?? ''));
  const next = { ...pod.config, metadata: { ...pod.config.metadata, attempt: 1 } };
  const { pod_sandbox_id: id } = await cri.call('RunPodSandbox', { config: next });
  expect(id).not.toBe(pod.id);
  await kubelet.removePod({ id, config: next });
  await kubelet.removePod(pod);
});

test('a name is free again once its pod is removed', async () => {
  const { cri, kubelet } = stage;
  const pod = await kubelet.runPod();
  await cri.call('StopPodSandbox', { pod_sandbox_id: pod.id });
  await cri.call('RemovePodSandbox', { pod_sandbox_id: pod.id });
  const { pod_sandbox_id: id } = await cri.call('RunPodSandbox', { config: pod.config });
  expect(id).not.toBe(pod.id);
  await kubelet.removePod({ id, config: pod.config });
});

test('a second call for the same container joins the first and gets the same container', async () => {
  const { cri, kubelet } = stage;
  const pod = await kubelet.runPod();
  const options = { image: stage.ref('busybox'), command: ['sleep', '1000'] };
  const ids = await Promise.all([1, 2, 3].map(() => kubelet.create(pod, options)));
  expect(new Set(ids).size).toBe(1);
  expect((await cri.call('ListContainers', {})).containers).toHaveLength(1);
  await kubelet.removePod(pod);
});

test('another container of the same name and attempt is refused, the next attempt is not', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  const image = stage.ref('busybox');
  await kubelet.create(pod, { image, command: ['sleep', '1'] });
  await expectCode(kubelet.create(pod, { image, command: ['sleep', '2'] }), 'ALREADY_EXISTS', /main/);
  await kubelet.create(pod, { image, command: ['sleep', '2'], attempt: 1 });
  await kubelet.removePod(pod);
});
