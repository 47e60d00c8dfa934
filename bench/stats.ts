/**
 * Times the statistics calls on a Berth of its own with many containers: `node bench/stats.ts --containers 200`,
 * as root. Wall time is the client's; processor time is that of all of berthd's threads, from /proc.
 */

import { randomUUID } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { cpus, release } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { CriClient, Rpc } from '../conformance/harness/cri-client.ts';
import { connectCri } from '../conformance/harness/cri-client.ts';
import { prepareDaemon } from '../conformance/harness/daemon.ts';
import { busybox } from '../conformance/harness/images.ts';
import { push } from '../conformance/harness/push.ts';
import { startRegistry } from '../conformance/harness/registry.ts';
import { inOwnWorld } from '../conformance/harness/world.ts';

const CONTAINERS_PER_POD = 10;
const calls = ['ListContainerStats', 'ListPodSandboxStats', 'ListPodSandboxMetrics', 'ListContainers'] as const satisfies readonly Rpc[];
const namespaces = { namespace_options: { network: 'POD', pid: 'CONTAINER', ipc: 'POD' } } as const;
const say = (text: string): void => void process.stdout.write(`${text}\n`);

const { values: options } = parseArgs({
  options: {
    containers: { type: 'string', default: '200' },
    rounds: { type: 'string', default: '30' },
    /** Between two calls, in ms: a kubelet asks every ten seconds, so caches of the processor are cold. */
    pause: { type: 'string', default: '100' },
    /** One call instead of all. */
    only: { type: 'string', default: '' },
    'cni-bin-dir': { type: 'string', default: '/usr/lib/cni' },
  },
});

async function startPod(cri: CriClient, image: string, containers: number): Promise<string> {
  const uid = randomUUID();
  const labels = { 'io.kubernetes.pod.name': uid, 'io.kubernetes.pod.namespace': 'bench', 'io.kubernetes.pod.uid': uid };
  const sandbox_config = { metadata: { name: uid, namespace: 'bench', uid, attempt: 0 }, labels, linux: { security_context: namespaces } };
  const { pod_sandbox_id } = await cri.call('RunPodSandbox', { config: sandbox_config });
  for (let number = 0; number < containers; number += 1) {
    const name = `main-${number}`;
    const config = {
      metadata: { name, attempt: 0 },
      image: { image },
      command: ['sleep', '100000'],
      labels: { ...labels, 'io.kubernetes.container.name': name },
      annotations: { 'io.kubernetes.container.restartCount': '0', 'io.kubernetes.pod.terminationGracePeriod': '30' },
      linux: { security_context: namespaces },
    };
    const { container_id } = await cri.call('CreateContainer', { pod_sandbox_id, config, sandbox_config });
    await cri.call('StartContainer', { container_id });
  }
  return pod_sandbox_id;
}

/** Nanoseconds on a processor, over all threads (Documentation/scheduler/sched-stats.rst). */
async function processorTime(pid: number): Promise<number> {
  let total = 0;
  for (const task of await readdir(`/proc/${pid}/task`)) {
    const text = await readFile(`/proc/${pid}/task/${task}/schedstat`, 'utf8').catch(() => '0');
    total += Number(text.split(' ')[0]);
  }
  return total;
}

async function measure(cri: CriClient, pid: number, rpc: (typeof calls)[number]): Promise<string> {
  const wall: number[] = [];
  const processor: number[] = [];
  for (let round = 0; round < Number(options.rounds); round += 1) {
    await sleep(Number(options.pause));
    const before = await processorTime(pid);
    const began = performance.now();
    await cri.call(rpc, {});
    wall.push(performance.now() - began);
    processor.push((await processorTime(pid)) - before);
  }
  const at = (values: number[], share: number): number => values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) * share)] ?? NaN;
  const figures = [at(wall, 0.5), at(wall, 0.95), at(processor, 0.5) / 1e6, at(processor, 0.95) / 1e6];
  return `${rpc.padEnd(24)}${figures.map((figure) => figure.toFixed(1).padStart(12)).join('')}`;
}

async function bench(): Promise<number> {
  const registry = await startRegistry();
  const daemon = await prepareDaemon({ registries: { [registry.host]: registry.url }, logLevel: 'info', cniBinDir: options['cni-bin-dir'] });
  const pods: string[] = [];
  try {
    await push(registry, 'busybox', 'latest', busybox());
    await daemon.start();
    const cri = connectCri(daemon.socket);
    const image = `${registry.host}/busybox:latest`;
    await cri.call('PullImage', { image: { image } });
    for (let left = Number(options.containers); left > 0; left -= CONTAINERS_PER_POD) {
      pods.push(await startPod(cri, image, Math.min(left, CONTAINERS_PER_POD)));
    }
    say(`\n${options.containers} containers; Linux ${release()}, ${cpus().length} cores; ms`);
    say(`${''.padEnd(24)}${['wall p50', 'wall p95', 'cpu p50', 'cpu p95'].map((head) => head.padStart(12)).join('')}`);
    const chosen = calls.filter((rpc) => options.only === '' || options.only === rpc);
    for (const rpc of chosen) await cri.call(rpc, {});
    for (const rpc of chosen) say(await measure(cri, daemon.pid, rpc));
    for (const pod_sandbox_id of pods) await cri.call('RemovePodSandbox', { pod_sandbox_id });
    cri.close();
    return 0;
  } finally {
    await daemon.dispose();
    await registry.stop();
  }
}

await inOwnWorld({ pid: false }, bench);
