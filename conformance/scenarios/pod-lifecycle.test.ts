import { expect, test } from 'vitest';
import { busybox, web, WEB_PAGE } from '../harness/images.ts';
import { textOf } from '../harness/cri-log.ts';
import { get } from '../harness/http.ts';
import { useStage } from '../harness/stage.ts';
import { eventually } from '../harness/wait.ts';

const stage = useStage({ images: { busybox, web } });

const ID = /^[0-9a-f]{64}$/;

test('a pod with a web server and a second container runs, answers, is looked into, and goes away', async () => {
  const { cri, kubelet } = stage;
  const pod = await kubelet.runPod({ hostname: 'two-in-one' });
  expect(pod.id).toMatch(ID);
  const ready = await kubelet.podStatus(pod.id);
  expect(ready.state).toBe('SANDBOX_READY');
  expect(ready.network?.ip).toMatch(new RegExp(`^${stage.daemon.network.prefix.replaceAll('.', '\\.')}\\d+$`));

  const webId = await kubelet.run(pod, { name: 'web', image: stage.ref('web') });
  const sideId = await kubelet.run(pod, {
    name: 'side',
    image: stage.ref('busybox'),
    command: ['sh', '-c', 'echo to stdout; echo to stderr >&2; hostname; exec sleep 1000'],
  });
  expect(webId).toMatch(ID);
  expect(sideId).toMatch(ID);

  // The web server is reached at the pod's address from the node, and at localhost from its neighbour.
  const page = await eventually('the web server answers', () => get(`http://${ready.network?.ip}:8080/`));
  expect(page).toBe(WEB_PAGE);
  expect(await kubelet.exec(sideId, 'wget', '-qO-', 'http://127.0.0.1:8080/')).toEqual({ stdout: WEB_PAGE, stderr: '', exitCode: 0 });

  const side = await eventually('three lines are logged', async () => {
    const lines = await kubelet.logs(pod, 'side');
    return lines.length >= 3 ? lines : undefined;
  });
  expect(textOf(side, 'stdout')).toBe('to stdout\ntwo-in-one\n');
  expect(textOf(side, 'stderr')).toBe('to stderr\n');
  expect(textOf(await kubelet.logs(pod, 'web'), 'stderr')).toContain('url:/');

  expect(await kubelet.exec(sideId, 'sh', '-c', 'echo out; echo err >&2; exit 7')).toEqual({ stdout: 'out\n', stderr: 'err\n', exitCode: 7 });

  await cri.call('StopContainer', { container_id: sideId, timeout: 0 });
  expect(await kubelet.status(sideId)).toMatchObject({ state: 'CONTAINER_EXITED', exit_code: 137 });
  expect(await kubelet.status(webId)).toMatchObject({ state: 'CONTAINER_RUNNING', exit_code: 0 });

  await cri.call('StopPodSandbox', { pod_sandbox_id: pod.id });
  expect((await kubelet.podStatus(pod.id)).state).toBe('SANDBOX_NOTREADY');
  expect(await kubelet.status(webId)).toMatchObject({ state: 'CONTAINER_EXITED' });
  await kubelet.removePod(pod);
  expect((await cri.call('ListPodSandbox', {})).items).toEqual([]);
  expect((await cri.call('ListContainers', {})).containers).toEqual([]);
});

test('a container tells truly when it was made, when it ran and how it ended', async () => {
  const { kubelet } = stage;
  const from = BigInt(Date.now()) * 1_000_000n;
  const pod = await kubelet.runPod();
  const id = await kubelet.create(pod, { image: stage.ref('busybox'), command: ['sh', '-c', 'exit 42'] });
  const created = await kubelet.status(id);
  expect(created).toMatchObject({ state: 'CONTAINER_CREATED', started_at: '0', finished_at: '0', exit_code: 0 });
  await stage.cri.call('StartContainer', { container_id: id });
  const exited = await kubelet.waitExited(id);
  expect(exited).toMatchObject({ exit_code: 42, reason: 'Error' });
  const times = [from, BigInt(exited.created_at), BigInt(exited.started_at), BigInt(exited.finished_at), BigInt(Date.now() + 1) * 1_000_000n];
  expect(times).toEqual([...times].sort((a, b) => (a < b ? -1 : 1)));
  await kubelet.removePod(pod);
});

test('a container that ends well is Completed, with exit code 0', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  const { status } = await kubelet.runToEnd(pod, { image: stage.ref('busybox'), command: ['true'] });
  expect(status).toMatchObject({ exit_code: 0, reason: 'Completed', message: '' });
  await kubelet.removePod(pod);
});

test('a container is asked to stop before it is killed', async () => {
  const { cri, kubelet } = stage;
  const pod = await kubelet.runPod();
  const polite = await kubelet.run(pod, {
    name: 'polite',
    image: stage.ref('busybox'),
    command: ['sh', '-c', 'trap "echo bye; exit 5" TERM; echo up; while :; do sleep 0.1; done'],
  });
  const deaf = await kubelet.run(pod, {
    name: 'deaf',
    image: stage.ref('busybox'),
    command: ['sh', '-c', 'trap "" TERM; echo up; while :; do sleep 0.1; done'],
  });
  for (const name of ['polite', 'deaf']) {
    await eventually(`${name} is up`, async () => ((await kubelet.logs(pod, name)).length > 0 ? true : undefined));
  }
  await cri.call('StopContainer', { container_id: polite, timeout: 30 });
  expect(await kubelet.status(polite)).toMatchObject({ state: 'CONTAINER_EXITED', exit_code: 5 });
  expect(textOf(await kubelet.logs(pod, 'polite'), 'stdout')).toBe('up\nbye\n');
  await cri.call('StopContainer', { container_id: deaf, timeout: 1 });
  expect(await kubelet.status(deaf)).toMatchObject({ state: 'CONTAINER_EXITED', exit_code: 137 });
  await kubelet.removePod(pod);
});

test('removing a running container kills it first', async () => {
  const { cri, kubelet } = stage;
  const pod = await kubelet.runPod();
  const id = await kubelet.run(pod, { image: stage.ref('busybox'), command: ['sleep', '1000'] });
  await cri.call('RemoveContainer', { container_id: id });
  expect((await cri.call('ListContainers', {})).containers).toEqual([]);
  await kubelet.removePod(pod);
});

test('removing a running pod takes its containers with it', async () => {
  const { cri, kubelet } = stage;
  const pod = await kubelet.runPod();
  await kubelet.run(pod, { image: stage.ref('busybox'), command: ['sleep', '1000'] });
  await cri.call('RemovePodSandbox', { pod_sandbox_id: pod.id });
  expect((await cri.call('ListContainers', {})).containers).toEqual([]);
  await kubelet.removePod(pod);
});

test('twelve pods come and go at once', async () => {
  const { kubelet } = stage;
  const pods = await Promise.all(
    Array.from({ length: 12 }, async () => {
      const pod = await kubelet.runPod();
      await kubelet.run(pod, { image: stage.ref('busybox'), command: ['sleep', '1000'] });
      return pod;
    }),
  );
  const addresses = await Promise.all(pods.map(async (pod) => (await kubelet.podStatus(pod.id)).network?.ip));
  expect(new Set(addresses).size).toBe(12);
  await Promise.all(pods.map((pod) => kubelet.removePod(pod)));
});
