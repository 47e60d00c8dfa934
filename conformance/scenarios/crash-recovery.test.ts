import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { textOf } from '../harness/cri-log.ts';
import { get } from '../harness/http.ts';
import { busybox, web, WEB_PAGE } from '../harness/images.ts';
import { expectCode, useStage } from '../harness/stage.ts';
import { eventually } from '../harness/wait.ts';

const stage = useStage({ images: { busybox, web } });

/** Kills berthd as a fault would, and starts it again. */
async function crash(meanwhile: () => Promise<void> = () => Promise.resolve()): Promise<void> {
  await stage.daemon.kill();
  await meanwhile();
  await stage.daemon.start();
  stage.reconnect();
}

afterEach(async () => {
  if (stage.daemon.pid === 0) await stage.daemon.start();
});

test('containers and their logs go on while berthd is dead, and it finds them again', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  const { network, created_at } = await kubelet.podStatus(pod.id);
  const image = stage.ref('busybox');
  const server = await kubelet.run(pod, { name: 'server', image: stage.ref('web') });
  const ticker = await kubelet.run(pod, { name: 'ticker', image, command: ['sh', '-c', 'n=0; while :; do n=$((n+1)); echo $n; sleep 0.05; done'] });
  const waiting = await kubelet.create(pod, { name: 'waiting', image, command: ['echo', 'started after the crash'] });
  const before = await kubelet.status(ticker);
  const pid = await kubelet.pidOf(ticker);

  await crash(async () => {
    const logged = (await kubelet.logs(pod, 'ticker')).length;
    await eventually('the log grows without berthd', async () => ((await kubelet.logs(pod, 'ticker')).length > logged + 3 ? true : undefined));
    expect(await eventually('the web server answers without berthd', () => get(`http://${network?.ip}:8080/`))).toBe(WEB_PAGE);
  });

  expect(await kubelet.podStatus(pod.id)).toMatchObject({ state: 'SANDBOX_READY', created_at, network: { ip: network?.ip } });
  expect(await kubelet.status(ticker)).toEqual(before);
  expect(await kubelet.pidOf(ticker)).toBe(pid);
  expect((await kubelet.status(server)).state).toBe('CONTAINER_RUNNING');
  expect((await kubelet.exec(ticker, 'sh', '-c', 'echo in; exit 9'))).toEqual({ stdout: 'in\n', stderr: '', exitCode: 9 });
  const numbers = (await kubelet.logs(pod, 'ticker')).map(({ text }) => Number(text));
  expect(numbers).toEqual(numbers.map((_, index) => index + 1));

  expect((await kubelet.status(waiting)).state).toBe('CONTAINER_CREATED');
  await stage.cri.call('StartContainer', { container_id: waiting });
  expect((await kubelet.waitExited(waiting)).exit_code).toBe(0);
  expect(textOf(await kubelet.logs(pod, 'waiting'), 'stdout')).toBe('started after the crash\n');

  await stage.cri.call('StopContainer', { container_id: ticker, timeout: 0 });
  expect(await kubelet.status(ticker)).toMatchObject({ state: 'CONTAINER_EXITED', exit_code: 137 });
  await stage.cri.call('RemoveContainer', { container_id: ticker });
  await kubelet.removePod(pod);
});

test('a container that ends while berthd is dead has its true exit code and time', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  const directory = await stage.directory('signals');
  const id = await kubelet.run(pod, {
    image: stage.ref('busybox'),
    command: ['sh', '-c', 'while [ ! -e /signals/go ]; do sleep 0.02; done; echo last words; exit 33'],
    mounts: [{ container_path: '/signals', host_path: directory }],
  });
  const pid = await kubelet.pidOf(id);
  const window: bigint[] = [];
  await crash(async () => {
    window.push(BigInt(Date.now()) * 1_000_000n);
    await writeFile(`${directory}/go`, '');
    await eventually('the container has ended', async () => (existsSync(`/proc/${pid}`) ? undefined : true));
    window.push(BigInt(Date.now() + 1) * 1_000_000n);
    await sleep(1500);
  });
  const status = await kubelet.status(id);
  expect(status).toMatchObject({ state: 'CONTAINER_EXITED', exit_code: 33, reason: 'Error' });
  const finished = BigInt(status.finished_at);
  expect(finished >= (window[0] ?? 0n)).toBe(true);
  // The process is gone a moment before its supervisor has written the time down.
  expect(finished <= (window[1] ?? 0n) + 1_000_000_000n).toBe(true);
  expect(textOf(await kubelet.logs(pod), 'stdout')).toBe('last words\n');
  await kubelet.removePod(pod);
});

test('a container killed while berthd is dead has the signal in its exit code', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  const id = await kubelet.run(pod, { image: stage.ref('busybox'), command: ['sleep', '1000'] });
  const pid = await kubelet.pidOf(id);
  await crash(async () => {
    process.kill(pid, 'SIGKILL');
    await sleep(200);
  });
  expect(await kubelet.waitExited(id)).toMatchObject({ exit_code: 137 });
  await kubelet.removePod(pod);
});

test('a container whose shim is lost has an unknown exit, never 0', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  const id = await kubelet.run(pod, { image: stage.ref('busybox'), command: ['sleep', '1000'] });
  const pid = await kubelet.pidOf(id);
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const shim = Number(/\) \S (\d+)/.exec(stat)?.[1]);
  expect(await readFile(`/proc/${shim}/comm`, 'utf8')).toMatch(/berth/);
  process.kill(shim, 'SIGKILL');
  const status = await eventually('the loss is noticed', async () => {
    const now = await kubelet.status(id);
    return now.state === 'CONTAINER_RUNNING' ? undefined : now;
  });
  expect(status.exit_code).not.toBe(0);
  await kubelet.removePod(pod);
});

test('pods with a shared PID namespace and the node\'s network are found again too', async () => {
  const { kubelet } = stage;
  const shared = { linux: { security_context: { namespace_options: { pid: 'POD' as const } } } };
  const host = { linux: { security_context: { namespace_options: { network: 'NODE' as const } } } };
  const image = stage.ref('busybox');
  const [one, two] = [await kubelet.runPod(shared), await kubelet.runPod(host)];
  const inShared = await kubelet.run(one, { image, command: ['sleep', '1000'], ...shared });
  const inHost = await kubelet.run(two, { image, command: ['sleep', '1000'], ...host });
  await crash();
  for (const [pod, id] of [[one, inShared], [two, inHost]] as const) {
    expect((await kubelet.podStatus(pod.id)).state).toBe('SANDBOX_READY');
    expect(await kubelet.status(id)).toMatchObject({ state: 'CONTAINER_RUNNING' });
    expect((await kubelet.exec(id, 'echo', 'hello')).stdout).toBe('hello\n');
    await kubelet.run(pod, { name: 'another', image, command: ['sleep', '1000'], ...(pod === one ? shared : host) });
    await kubelet.removePod(pod);
  }
});

test('names, images and stopped pods are remembered', async () => {
  const { cri, kubelet } = stage;
  const pod = await kubelet.runPod({ labels: { kept: 'yes' } });
  const { status } = await kubelet.runToEnd(pod, { image: stage.ref('busybox'), command: ['sh', '-c', 'exit 4'] });
  await cri.call('StopPodSandbox', { pod_sandbox_id: pod.id });
  const images = await cri.call('ListImages', {});
  const pods = await cri.call('ListPodSandbox', {});
  await crash();
  expect(await stage.cri.call('ListImages', {})).toEqual(images);
  expect(await stage.cri.call('ListPodSandbox', {})).toEqual(pods);
  expect(await kubelet.status(status.id)).toEqual(status);
  await expectCode(stage.cri.call('RunPodSandbox', { config: { ...pod.config, labels: { kept: 'no' } } }), 'ALREADY_EXISTS');
  await kubelet.removePod(pod);
});

test('a crash in the middle of twenty starts leaves nothing that cannot be removed', async () => {
  const { kubelet } = stage;
  const configs = await Promise.all(Array.from({ length: 20 }, () => kubelet.podConfig()));
  const calls = configs.map((config) => stage.cri.call('RunPodSandbox', { config }).catch(() => undefined));
  await Promise.race(calls);
  await crash();
  await Promise.all(calls);
  await kubelet.removeAll();
  expect((await stage.cri.call('ListPodSandbox', {})).items).toEqual([]);
});

test('an orderly stop leaves containers running too', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  const id = await kubelet.run(pod, { image: stage.ref('busybox'), command: ['sleep', '1000'] });
  const pid = await kubelet.pidOf(id);
  await stage.daemon.stop();
  process.kill(pid, 0);
  await stage.daemon.start();
  stage.reconnect();
  expect((await kubelet.status(id)).state).toBe('CONTAINER_RUNNING');
  await kubelet.removePod(pod);
});
