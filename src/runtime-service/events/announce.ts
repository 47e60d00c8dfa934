import type { ContainerEventResponse } from '../../cri-server/generated/runtime/v1/ContainerEventResponse.ts';
import type { ContainerEventType } from '../../cri-server/generated/runtime/v1/ContainerEventType.ts';
import type { ContainerRecord } from '../../state/container.ts';
import type { SandboxRecord } from '../../state/sandbox.ts';
import { containerStatus } from '../container/status.ts';
import { failedName } from '../pod-sandbox/resources.ts';
import { sandboxStatus } from '../pod-sandbox/status.ts';
import { containersOf } from '../runtime.ts';
import type { Container, Runtime, Sandbox } from '../runtime.ts';

/**
 * Events, as the phases of objects make them. An object's events are a sequence that its phase determines:
 *
 *   creating: nothing   created: C   running, ready: C S   exited, stopped: C S P   (record removed): … D
 *
 * (created, started, stopped, deleted; a container that never ran has no S). What has not been said of the
 * sequence yet is said whenever the phase changes. So the order is the same whichever way the changes were
 * heard of, and a creation that fails, whose id nobody knows, is never spoken of.
 */

/** A container that has been made wholly: its id is about to be told. */
export function containerMade(runtime: Runtime, container: Container): void {
  runtime.announced.set(container, 0);
  containerChanged(runtime, container);
}

/** The record of a container is in another phase. */
export function containerChanged(runtime: Runtime, container: Container): void {
  const { id, sandboxId } = container.record;
  for (const type of unsaid(runtime, container, containerSequence(container.record))) say(runtime, type, id, runtime.sandboxes.find(sandboxId));
}

export function containerRemoved(runtime: Runtime, container: Container): void {
  containerChanged(runtime, container);
  const { id, sandboxId } = container.record;
  if (runtime.announced.delete(container)) say(runtime, 'CONTAINER_DELETED_EVENT', id, runtime.sandboxes.find(sandboxId));
}

/** A container found in the records: what its phase says was said by the berthd that wrote it. */
export function containerFound(runtime: Runtime, container: Container): void {
  const { phase, name, id } = container.record;
  if (phase !== 'creating' && name !== failedName(id)) runtime.announced.set(container, containerSequence(container.record).length);
}

export function sandboxMade(runtime: Runtime, sandbox: Sandbox): void {
  runtime.announced.set(sandbox, 0);
  sandboxChanged(runtime, sandbox);
}

export function sandboxChanged(runtime: Runtime, sandbox: Sandbox): void {
  for (const type of unsaid(runtime, sandbox, sandboxSequence(sandbox.record))) say(runtime, type, sandbox.record.id, sandbox);
}

/** The last state of the sandbox goes with it: a kubelet forgets the pod by the metadata in it. */
export function sandboxRemoved(runtime: Runtime, sandbox: Sandbox): void {
  sandboxChanged(runtime, sandbox);
  if (runtime.announced.delete(sandbox)) say(runtime, 'CONTAINER_DELETED_EVENT', sandbox.record.id, sandbox);
}

export function sandboxFound(runtime: Runtime, sandbox: Sandbox): void {
  const { phase, name, id } = sandbox.record;
  if (phase !== 'creating' && name !== failedName(id)) runtime.announced.set(sandbox, sandboxSequence(sandbox.record).length);
}

const created = ['CONTAINER_CREATED_EVENT'] as const;
const started = [...created, 'CONTAINER_STARTED_EVENT'] as const;
const stopped = [...started, 'CONTAINER_STOPPED_EVENT'] as const;

function containerSequence({ phase, startedAt }: ContainerRecord): readonly ContainerEventType[] {
  if (phase === 'exited' && startedAt === '0') return [...created, 'CONTAINER_STOPPED_EVENT'];
  return { creating: [], created, running: started, exited: stopped }[phase];
}

function sandboxSequence({ phase }: SandboxRecord): readonly ContainerEventType[] {
  return { creating: [], ready: started, stopped }[phase];
}

/** What is left to say of the sequence; from now on it counts as said. */
function unsaid(runtime: Runtime, object: Container | Sandbox, sequence: readonly ContainerEventType[]): readonly ContainerEventType[] {
  const said = runtime.announced.get(object);
  if (said === undefined || said >= sequence.length) return [];
  runtime.announced.set(object, sequence.length);
  return sequence.slice(said);
}

function say(runtime: Runtime, type: ContainerEventType, id: string, sandbox: Sandbox | undefined): void {
  if (!runtime.events.wanted) return;
  runtime.events.publish(describe(runtime, type, id, sandbox));
}

/** The event with the state of the pod at this moment. Containers that are still being made are nobody's business. */
function describe(runtime: Runtime, type: ContainerEventType, id: string, sandbox: Sandbox | undefined): ContainerEventResponse {
  const containers = sandbox === undefined ? [] : containersOf(runtime, sandbox.record.id);
  return {
    container_id: id,
    container_event_type: type,
    created_at: String(runtime.clock.nowNanos()),
    pod_sandbox_status: sandbox === undefined ? null : sandboxStatus(sandbox.record),
    containers_statuses: containers
      .filter((container) => runtime.announced.has(container))
      .map((container) => containerStatus(runtime, container.record)),
  };
}
