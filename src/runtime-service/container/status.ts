import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ContainerStatus } from '../../cri-server/generated/runtime/v1/ContainerStatus.ts';
import type { RuntimeHandlers } from '../../cri-server/handlers.ts';
import type { ContainerRecord } from '../../state/container.ts';
import { criSignal } from '../bundle/signals.ts';
import type { Runtime } from '../runtime.ts';

/** ContainerStatus, from memory; only the verbose form reads the bundle. */
export function containerStatusRpc(runtime: Runtime): RuntimeHandlers['ContainerStatus'] {
  return async (request) => {
    const { record } = runtime.containers.get(request.container_id, 'container', 'CONTAINER_NOT_FOUND');
    return {
      status: containerStatus(runtime, record),
      info: request.verbose ? { info: JSON.stringify(await containerInfo(runtime, record)) } : {},
    };
  };
}

const states = {
  creating: 'CONTAINER_UNKNOWN',
  created: 'CONTAINER_CREATED',
  running: 'CONTAINER_RUNNING',
  exited: 'CONTAINER_EXITED',
} as const;

export function containerState(record: ContainerRecord): (typeof states)[keyof typeof states] {
  return record.quarantined === true ? 'CONTAINER_UNKNOWN' : states[record.phase];
}

/** Reasons as the kubelet and its users know them. */
function exitReason(record: ContainerRecord): string {
  if (record.phase !== 'exited') return '';
  if (!record.exitKnown) return 'Unknown';
  if (record.oomKilled) return 'OOMKilled';
  if (record.startedAt === '0') return record.message === '' ? 'Error' : 'StartError';
  return record.exitCode === 0 ? 'Completed' : 'Error';
}

export function containerStatus(runtime: Runtime, record: ContainerRecord): ContainerStatus {
  const { config } = record;
  const image = runtime.images.resolve(record.imageId);
  const running = record.phase === 'running' || record.phase === 'exited';
  return {
    id: record.id,
    metadata: config.metadata,
    state: containerState(record),
    created_at: record.createdAt,
    started_at: running ? record.startedAt : '0',
    finished_at: record.finishedAt,
    exit_code: record.exitCode,
    image: { ...config.image, image: image?.repoTags[0] ?? config.image?.image ?? '' },
    image_ref: image?.repoDigests[0] ?? record.imageRef,
    image_id: record.imageId,
    reason: exitReason(record),
    message: record.message,
    labels: config.labels,
    annotations: config.annotations,
    mounts: [...config.mounts],
    log_path: record.logPath,
    resources: config.linux?.resources == null ? null : { linux: config.linux.resources },
    user: record.user === undefined ? null : { linux: linuxUser(record.user) },
    stop_signal: criSignal(record.stopSignal),
  };
}

function linuxUser(user: NonNullable<ContainerRecord['user']>) {
  return { uid: String(user.uid), gid: String(user.gid), supplemental_groups: user.groups.map(String) };
}

async function containerInfo(runtime: Runtime, record: ContainerRecord): Promise<object> {
  const runtimeSpec = await readFile(join(runtime.paths.shim(record.id), 'config.json'), 'utf8')
    .then((text) => JSON.parse(text) as unknown)
    .catch(() => null);
  return {
    sandboxID: record.sandboxId,
    pid: record.phase === 'running' || record.phase === 'created' ? record.pid : 0,
    phase: record.phase,
    config: record.config,
    runtimeSpec,
    cgroupPath: record.cgroupPath,
    ledger: record.ledger,
    directory: runtime.containerStore.directoryOf(record.id),
  };
}
