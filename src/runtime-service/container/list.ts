import type { Container } from '../../cri-server/generated/runtime/v1/Container.ts';
import type { ContainerFilter__Output } from '../../cri-server/generated/runtime/v1/ContainerFilter.ts';
import type { RuntimeHandlers } from '../../cri-server/handlers.ts';
import type { ContainerRecord } from '../../state/container.ts';
import { filteredId, matchesLabels } from '../filters.ts';
import type { Runtime } from '../runtime.ts';
import { containerState } from './status.ts';

/** ListContainers, from memory. A container that is still being made is not listed: its id has not been told. */
export function listContainers(runtime: Runtime): RuntimeHandlers['ListContainers'] {
  return async (request) => ({ containers: filterContainers(runtime, request.filter).map(toListItem) });
}

export function filterContainers(runtime: Runtime, filter: ContainerFilter__Output | null): ContainerRecord[] {
  const id = filteredId(runtime.containers, filter?.id ?? '');
  const sandboxId = filteredId(runtime.sandboxes, filter?.pod_sandbox_id ?? '');
  return [...runtime.containers.values()]
    .map(({ record }) => record)
    .filter(
      (record) =>
        record.phase !== 'creating' &&
        (id === undefined || record.id === id) &&
        (sandboxId === undefined || record.sandboxId === sandboxId) &&
        (filter === null ||
          ((filter.state === null || filter.state.state === containerState(record)) &&
            matchesLabels(record.config.labels, filter.label_selector))),
    );
}

function toListItem(record: ContainerRecord): Container {
  return {
    id: record.id,
    pod_sandbox_id: record.sandboxId,
    metadata: record.config.metadata,
    image: record.config.image,
    image_ref: record.imageId,
    image_id: record.imageId,
    state: containerState(record),
    created_at: record.createdAt,
    labels: record.config.labels,
    annotations: record.config.annotations,
  };
}
