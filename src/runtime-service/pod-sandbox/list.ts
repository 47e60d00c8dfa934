import type { PodSandbox } from '../../cri-server/generated/runtime/v1/PodSandbox.ts';
import type { PodSandboxFilter__Output } from '../../cri-server/generated/runtime/v1/PodSandboxFilter.ts';
import type { RuntimeHandlers } from '../../cri-server/handlers.ts';
import type { SandboxRecord } from '../../state/sandbox.ts';
import { filteredId, matchesLabels } from '../filters.ts';
import type { Runtime } from '../runtime.ts';
import { sandboxState } from './status.ts';

/** ListPodSandbox, from memory. A sandbox that is still being made is not listed: its id has not been told. */
export function listPodSandbox(runtime: Runtime): RuntimeHandlers['ListPodSandbox'] {
  return async (request) => ({ items: listSandboxes(runtime, request.filter).map(toListItem) });
}

export function listSandboxes(runtime: Runtime, filter: PodSandboxFilter__Output | null): SandboxRecord[] {
  const id = filteredId(runtime.sandboxes, filter?.id ?? '');
  return [...runtime.sandboxes.values()]
    .map(({ record }) => record)
    .filter(
      (record) =>
        record.phase !== 'creating' &&
        (id === undefined || record.id === id) &&
        (filter === null ||
          ((filter.state === null || filter.state.state === sandboxState(record)) &&
            matchesLabels(record.config.labels, filter.label_selector))),
    );
}

function toListItem(record: SandboxRecord): PodSandbox {
  return {
    id: record.id,
    metadata: record.config.metadata,
    state: sandboxState(record),
    created_at: record.createdAt,
    labels: record.config.labels,
    annotations: record.config.annotations,
    runtime_handler: record.runtimeHandler,
  };
}
