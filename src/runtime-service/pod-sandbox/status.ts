import type { PodSandboxStatus } from '../../cri-server/generated/runtime/v1/PodSandboxStatus.ts';
import type { RuntimeHandlers } from '../../cri-server/handlers.ts';
import type { SandboxRecord } from '../../state/sandbox.ts';
import { containerStatus } from '../container/status.ts';
import { containersOf } from '../runtime.ts';
import type { Runtime } from '../runtime.ts';
import { sandboxPins } from './resources.ts';
import { namespaceOptions } from './validate.ts';

/** PodSandboxStatus, from memory. */
export function podSandboxStatus(runtime: Runtime): RuntimeHandlers['PodSandboxStatus'] {
  return async (request) => {
    const { record } = runtime.sandboxes.get(request.pod_sandbox_id, 'sandbox', 'SANDBOX_NOT_FOUND');
    return {
      status: sandboxStatus(record),
      info: request.verbose ? { info: JSON.stringify(sandboxInfo(runtime, record)) } : {},
      containers_statuses: containersOf(runtime, record.id)
        .filter((container) => container.record.phase !== 'creating')
        .map((container) => containerStatus(runtime, container.record)),
      timestamp: String(runtime.clock.nowNanos()),
    };
  };
}

export function sandboxState(record: SandboxRecord): 'SANDBOX_READY' | 'SANDBOX_NOTREADY' {
  return record.phase === 'ready' ? 'SANDBOX_READY' : 'SANDBOX_NOTREADY';
}

export function sandboxStatus(record: SandboxRecord): PodSandboxStatus {
  // A stopped sandbox has given its addresses back.
  const [ip, ...additional] = record.phase === 'ready' ? record.ips : [];
  const options = namespaceOptions(record.config);
  return {
    id: record.id,
    metadata: record.config.metadata,
    state: sandboxState(record),
    created_at: record.createdAt,
    network: { ip: ip ?? '', additional_ips: additional.map((address) => ({ ip: address })) },
    linux: { namespaces: { options } },
    labels: record.config.labels,
    annotations: record.config.annotations,
    runtime_handler: record.runtimeHandler,
  };
}

function sandboxInfo(runtime: Runtime, record: SandboxRecord): object {
  return {
    config: record.config,
    phase: record.phase,
    hostname: record.hostname,
    namespaces: sandboxPins(runtime, record),
    cgroup: record.cgroup,
    cniResult: record.cniResult,
    ledger: record.ledger,
    directory: runtime.sandboxStore.directoryOf(record.id),
  };
}
