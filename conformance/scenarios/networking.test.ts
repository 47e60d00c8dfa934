import { readlink, rm, writeFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { busybox, web, WEB_PAGE } from '../harness/images.ts';
import { expectCode, useStage } from '../harness/stage.ts';
import { eventually } from '../harness/wait.ts';
import { get } from '../harness/http.ts';

const stage = useStage({ images: { busybox, web } });

const hostNetwork = { linux: { security_context: { namespace_options: { network: 'NODE' as const } } } };

test('pods reach each other by address', async () => {
  const { kubelet } = stage;
  const server = await kubelet.runPod();
  await kubelet.run(server, { image: stage.ref('web') });
  const { network } = await kubelet.podStatus(server.id);
  const client = await kubelet.runPod();
  const id = await kubelet.run(client, { image: stage.ref('busybox'), command: ['sleep', '1000'] });
  const page = await eventually('the server answers its neighbour', async () => {
    const { stdout, exitCode } = await kubelet.exec(id, 'wget', '-qO-', `http://${network?.ip}:8080/`);
    return exitCode === 0 ? stdout : undefined;
  });
  expect(page).toBe(WEB_PAGE);
  await kubelet.removePod(client);
  await kubelet.removePod(server);
});

test('a pod has loopback and one interface, eth0, with its address', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  const id = await kubelet.run(pod, { image: stage.ref('busybox'), command: ['sleep', '1000'] });
  const { stdout } = await kubelet.exec(id, 'ip', '-o', '-4', 'addr');
  const devices = stdout.trim().split('\n').map((line) => line.split(/\s+/).slice(1, 4).join(' '));
  expect(devices).toEqual(['lo inet 127.0.0.1/8', `eth0 inet ${(await kubelet.podStatus(pod.id)).network?.ip}/24`]);
  await kubelet.removePod(pod);
});

test('a host port leads to the pod, and is closed when the pod is gone', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod({ port_mappings: [{ protocol: 'TCP', container_port: 8080, host_port: 18080 }] });
  await kubelet.run(pod, { image: stage.ref('web') });
  expect(await eventually('the mapped port answers', () => get('http://127.0.0.1:18080/'))).toBe(WEB_PAGE);
  await kubelet.removePod(pod);
  expect(await get('http://127.0.0.1:18080/')).toBeUndefined();
});

test('a port without a host port opens nothing on the node', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod({ port_mappings: [{ protocol: 'TCP', container_port: 8080 }] });
  const id = await kubelet.run(pod, { image: stage.ref('web') });
  await eventually('the server is up', async () => ((await kubelet.exec(id, 'wget', '-qO-', 'http://127.0.0.1:8080/')).exitCode === 0 ? true : undefined));
  expect(await get('http://127.0.0.1:8080/')).toBeUndefined();
  await kubelet.removePod(pod);
});

test('a port that no protocol has is refused', async () => {
  const { cri, kubelet } = stage;
  for (const mapping of [{ container_port: 70_000, host_port: 1 }, { container_port: 80, host_port: -1 }]) {
    const config = await kubelet.podConfig({ port_mappings: [mapping] });
    await expectCode(cri.call('RunPodSandbox', { config }), 'INVALID_ARGUMENT', /port/);
    await kubelet.removePod({ id: 'f'.repeat(64), config });
  }
  expect((await cri.call('ListPodSandbox', {})).items).toEqual([]);
});

test('a host-network pod uses the node\'s network', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod(hostNetwork);
  const status = await kubelet.podStatus(pod.id);
  expect(status.linux?.namespaces?.options?.network).toBe('NODE');
  await kubelet.run(pod, { name: 'web', image: stage.ref('web'), ...hostNetwork });
  expect(await eventually('the web server answers on the node', () => get('http://127.0.0.1:8080/'))).toBe(WEB_PAGE);
  const id = await kubelet.run(pod, { name: 'look', image: stage.ref('busybox'), command: ['sleep', '1000'], ...hostNetwork });
  expect((await kubelet.exec(id, 'readlink', '/proc/self/ns/net')).stdout.trim()).toBe(await ownNamespace('net'));
  await kubelet.removePod(pod);
});

test('a pod has network, IPC and UTS namespaces of its own, shared by its containers', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  const image = stage.ref('busybox');
  const ids = [
    await kubelet.run(pod, { name: 'one', image, command: ['sleep', '1000'] }),
    await kubelet.run(pod, { name: 'two', image, command: ['sleep', '1000'] }),
  ];
  for (const namespace of ['net', 'ipc', 'uts']) {
    const seen = await Promise.all(ids.map(async (id) => (await kubelet.exec(id, 'readlink', `/proc/1/ns/${namespace}`)).stdout.trim()));
    expect(seen[0]).toBe(seen[1]);
    expect(seen[0]).not.toBe(await ownNamespace(namespace));
  }
  for (const namespace of ['pid', 'mnt']) {
    const seen = await Promise.all(ids.map(async (id) => (await kubelet.exec(id, 'readlink', `/proc/1/ns/${namespace}`)).stdout.trim()));
    expect(new Set(seen).size).toBe(2);
  }
  await kubelet.removePod(pod);
});

test('a CNI plugin that fails makes RunPodSandbox fail, and nothing is left', async () => {
  const { cri, kubelet } = stage;
  const broken = `${stage.daemon.cniConfDir}/00-broken.conflist`;
  await writeFile(broken, JSON.stringify({ cniVersion: '1.0.0', name: 'broken', plugins: [{ type: 'no-such-plugin' }] }));
  await eventually('the broken network is noticed', async () => {
    const config = await kubelet.podConfig();
    const answer = await cri.call('RunPodSandbox', { config }).catch((error: unknown) => error as Error);
    if (!(answer instanceof Error)) {
      await kubelet.removePod({ id: answer.pod_sandbox_id, config });
      return undefined;
    }
    expect(answer.message).toMatch(/no-such-plugin|network/i);
    await kubelet.removePod({ id: 'f'.repeat(64), config });
    return true;
  });
  expect((await cri.call('ListPodSandbox', {})).items).toEqual([]);
  await rm(broken);
  await eventually('the good network is back', async () => {
    const { status } = await cri.call('Status', {});
    const condition = status?.conditions.find(({ type }) => type === 'NetworkReady');
    if (condition?.status !== true) return undefined;
    const pod = await kubelet.runPod().catch(() => undefined);
    if (pod === undefined) return undefined;
    await kubelet.removePod(pod);
    return true;
  });
});

async function ownNamespace(name: string): Promise<string> {
  return readlink(`/proc/self/ns/${name}`);
}
