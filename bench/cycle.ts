/** One pod's life, call by call, as a kubelet would have it, with the time of each call. */

import { randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import type { PodSandboxConfig } from '../src/cri-server/generated/runtime/v1/PodSandboxConfig.ts';
import type { CriClient, Rpc } from '../conformance/harness/cri-client.ts';

export interface Subject {
  readonly name: string;
  readonly cri: CriClient;
  readonly image: string;
  /** A directory that both this process and the runtime see. */
  readonly logs: string;
}

export interface RunningPod {
  readonly podId: string;
  readonly containerId: string;
}

const EXECS = 3;
const namespaces = { namespace_options: { network: 'POD', pid: 'CONTAINER', ipc: 'POD' } } as const;
/** Ends at once on SIGTERM, so that StopContainer measures the runtime and not a grace period. */
const command = ['sh', '-c', 'trap "exit 0" TERM; while :; do sleep 1000 & wait; done'];

async function podConfig(subject: Subject): Promise<PodSandboxConfig> {
  const uid = randomUUID();
  const log_directory = path.join(subject.logs, uid);
  await mkdir(log_directory, { recursive: true });
  return {
    metadata: { name: `bench-${uid.slice(0, 8)}`, namespace: 'bench', uid, attempt: 0 },
    hostname: 'bench',
    log_directory,
    linux: { security_context: namespaces },
  };
}

export async function startPod(subject: Subject): Promise<RunningPod> {
  const { cri, image } = subject;
  const sandbox_config = await podConfig(subject);
  const { pod_sandbox_id } = await cri.call('RunPodSandbox', { config: sandbox_config });
  const config = {
    metadata: { name: 'main', attempt: 0 },
    image: { image },
    command,
    log_path: 'main.log',
    linux: { security_context: namespaces },
  };
  const { container_id } = await cri.call('CreateContainer', { pod_sandbox_id, config, sandbox_config });
  await cri.call('StartContainer', { container_id });
  return { podId: pod_sandbox_id, containerId: container_id };
}

export async function execAndEndPod({ cri }: Subject, { podId, containerId }: RunningPod): Promise<void> {
  for (let time = 0; time < EXECS; time += 1) {
    const { exit_code } = await cri.call('ExecSync', { container_id: containerId, cmd: ['true'], timeout: 10 });
    if (exit_code !== 0) throw new Error(`true exited with ${exit_code}`);
  }
  await cri.call('StopContainer', { container_id: containerId, timeout: 10 });
  await cri.call('RemoveContainer', { container_id: containerId });
  await cri.call('StopPodSandbox', { pod_sandbox_id: podId });
  await cri.call('RemovePodSandbox', { pod_sandbox_id: podId });
}

/** The rows of the table. `Create + Start` is what a kubelet waits for, pod by pod. */
export const rows = [
  'RunPodSandbox',
  'CreateContainer',
  'StartContainer',
  'Create + Start',
  'ExecSync',
  'StopContainer',
  'RemoveContainer',
  'StopPodSandbox',
  'RemovePodSandbox',
] as const;
export type Row = (typeof rows)[number];
export type Samples = Record<Row, number[]>;

export function noSamples(): Samples {
  return Object.fromEntries(rows.map((row) => [row, []])) as unknown as Samples;
}

/** One whole cycle; adds its times to the samples. */
export async function cycle(subject: Subject, samples: Samples): Promise<void> {
  const from = subject.cri.timings.length;
  await execAndEndPod(subject, await startPod(subject));
  const timings = subject.cri.timings.slice(from);
  const of = (rpc: Rpc): number => timings.find((timing) => timing.rpc === rpc)?.milliseconds ?? Number.NaN;
  for (const { rpc, milliseconds } of timings) if (rpc in samples) samples[rpc as Row].push(milliseconds);
  samples['Create + Start'].push(of('CreateContainer') + of('StartContainer'));
}
