import { readdir } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { get } from '../harness/http.ts';
import { busybox, web, WEB_PAGE } from '../harness/images.ts';
import { useStage } from '../harness/stage.ts';
import { eventually } from '../harness/wait.ts';

/**
 * A node that nobody has given a CNI configuration. The bridge and the tables of rules are made with
 * the first pod of a subnet and stay.
 */
const stage = useStage({
  images: { busybox, web },
  cni: false,
  permanentDevices: ['berth0'],
  warmUp: async ({ cri, kubelet }) => {
    const port_mappings = [{ protocol: 'TCP' as const, container_port: 8080, host_port: 18081 }];
    await kubelet.removePod(await kubelet.runPod({ port_mappings }));
    await cri.call('UpdateRuntimeConfig', { runtime_config: { network_config: { pod_cidr: '10.251.7.0/24' } } });
    await kubelet.removePod(await kubelet.runPod());
  },
});

test('a node without a CNI configuration has a network all the same', async () => {
  const { cri, kubelet } = stage;
  const { status } = await cri.call('Status', {});
  expect(status?.conditions.find(({ type }) => type === 'NetworkReady')).toMatchObject({ status: true });

  const server = await kubelet.runPod({ port_mappings: [{ protocol: 'TCP', container_port: 8080, host_port: 18081 }] });
  await kubelet.run(server, { image: stage.ref('web') });
  const { network } = await kubelet.podStatus(server.id);
  expect(network?.ip).toMatch(/^\d+\.\d+\.\d+\.\d+$/);
  expect(await eventually('the pod answers at its address', () => get(`http://${network?.ip}:8080/`))).toBe(WEB_PAGE);
  expect(await eventually('the host port answers', () => get('http://127.0.0.1:18081/'))).toBe(WEB_PAGE);

  const client = await kubelet.runPod();
  const id = await kubelet.run(client, { image: stage.ref('busybox'), command: ['sleep', '1000'] });
  expect((await kubelet.exec(id, 'wget', '-qO-', `http://${network?.ip}:8080/`)).stdout).toBe(WEB_PAGE);
  await kubelet.removePod(client);
  await kubelet.removePod(server);
  expect(await get('http://127.0.0.1:18081/')).toBeUndefined();
});

test('nothing is written into the node\'s own CNI directory', async () => {
  const pod = await stage.kubelet.runPod();
  expect(await readdir(stage.daemon.cniConfDir)).toEqual([]);
  await stage.kubelet.removePod(pod);
});

test('the kubelet\'s pod CIDR is the subnet of new pods', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  expect((await kubelet.podStatus(pod.id)).network?.ip).toMatch(/^10\.251\.7\.\d+$/);
  await kubelet.removePod(pod);
});
