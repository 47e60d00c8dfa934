/** What a container of an image finds as its root, listed from outside; the same way for every CRI runtime. */

import { randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import type { CriClient } from './cri-client.ts';
import { runtimeOwn } from './tree-images.ts';
import { listTree } from './tree-listing.ts';
import type { Listing } from './tree-listing.ts';

const namespaces = { namespace_options: { network: 'NODE', pid: 'CONTAINER', ipc: 'POD' } } as const;

export interface ViewScope {
  readonly cri: CriClient;
  /** Where the pod's logs go: a directory that this process and the runtime both see. */
  readonly logs: string;
  /** Absolute cgroup for the pod; the runtime's own choice by default. */
  readonly cgroupParent?: string;
}

/** Pulls the image, lists what a container of it has, and removes all of it again. */
export async function mergedView({ cri, logs, cgroupParent }: ViewScope, image: string): Promise<Listing> {
  const since = BigInt(Date.now()) * 1_000_000n;
  const uid = randomUUID();
  const log_directory = path.join(logs, uid);
  await mkdir(log_directory, { recursive: true });
  await cri.call('PullImage', { image: { image } });
  const sandbox_config = {
    metadata: { name: `view-${uid.slice(0, 8)}`, namespace: 'conformance', uid, attempt: 0 },
    log_directory,
    linux: { ...(cgroupParent === undefined ? {} : { cgroup_parent: cgroupParent }), security_context: namespaces },
  };
  const { pod_sandbox_id } = await cri.call('RunPodSandbox', { config: sandbox_config });
  try {
    const config = { metadata: { name: 'main', attempt: 0 }, image: { image }, command: ['sleep', '1000'], log_path: 'main.log', linux: { security_context: namespaces } };
    const { container_id } = await cri.call('CreateContainer', { pod_sandbox_id, config, sandbox_config });
    await cri.call('StartContainer', { container_id });
    const { info } = await cri.call('ContainerStatus', { container_id, verbose: true });
    const { pid } = JSON.parse(info['info'] ?? '{}') as { pid: number };
    return listTree(`/proc/${pid}/root`, { skip: runtimeOwn, since });
  } finally {
    await cri.call('StopPodSandbox', { pod_sandbox_id });
    await cri.call('RemovePodSandbox', { pod_sandbox_id });
    await cri.call('RemoveImage', { image: { image } });
  }
}
