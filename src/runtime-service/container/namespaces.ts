import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import type { NamespaceOption__Output } from '../../cri-server/generated/runtime/v1/NamespaceOption.ts';
import type { PodSandboxConfig__Output } from '../../cri-server/generated/runtime/v1/PodSandboxConfig.ts';
import { BerthError, invalidField } from '../../errors/catalogue.ts';
import type { ContainerRecord } from '../../state/container.ts';
import type { OciNamespace } from '../bundle/bundle.ts';
import { pidLock, sandboxPins } from '../pod-sandbox/resources.ts';
import { ensureSharedPid } from '../pod-sandbox/shared-pid.ts';
import { validateContainerUserNamespace, validatePodUserNamespace } from '../pod-sandbox/user-namespace.ts';
import { namespaceOptions } from '../pod-sandbox/validate.ts';
import type { Runtime, Sandbox } from '../runtime.ts';

const field = 'config.linux.security_context.namespace_options';

/**
 * What a container may ask for, given its pod. Network, IPC and user namespace are the pod's: POD is what the pod
 * has, NODE must then be what the pod has, too. Throws INVALID_FIELD.
 */
export function validateContainerNamespaces(options: NamespaceOption__Output | null, pod: PodSandboxConfig__Output): void {
  if (options === null) return;
  const has = namespaceOptions(pod);
  for (const kind of ['network', 'ipc'] as const) {
    if (options[kind] === 'POD' || options[kind] === has[kind]) continue;
    const problem = options[kind] === 'NODE' ? "is NODE, but the pod's is not" : `${String(options[kind])} is not a mode for it: POD or NODE`;
    throw invalidField(`${field}.${kind}`, problem);
  }
  if (options.target_id !== '' && options.pid !== 'TARGET') throw invalidField(`${field}.target_id`, 'needs pid mode TARGET');
  validateContainerUserNamespace(options.userns_options, validatePodUserNamespace(pod));
}

export interface JoinedNamespaces {
  readonly namespaces: readonly OciNamespace[];
  /** Keeps the PID namespace of a target at the path that is given for it; to be closed when the container is made. */
  readonly target: FileHandle | undefined;
}

/** The namespaces that a container gets. Changes nothing but, for the first container that shares PIDs, the sandbox's reaper. */
export async function joinNamespaces(runtime: Runtime, sandbox: Sandbox, record: ContainerRecord, signal: AbortSignal): Promise<JoinedNamespaces> {
  const pins = sandboxPins(runtime, sandbox.record);
  const security = record.config.linux?.security_context ?? null;
  const joined = (type: OciNamespace['type'], path: string): OciNamespace[] => (path === '' ? [] : [{ type, path }]);
  const { pid, target } = await pidNamespace(runtime, sandbox, security?.namespace_options ?? null, signal);
  const namespaces = [
    { type: 'mount' as const },
    ...pid,
    ...joined('network', pins.net),
    ...joined('ipc', pins.ipc),
    ...joined('uts', pins.uts),
    ...(security?.privileged === true ? [] : [{ type: 'cgroup' as const }]),
    ...joined('user', pins.user),
  ];
  return { namespaces, target };
}

interface PidNamespace {
  readonly pid: readonly OciNamespace[];
  readonly target?: FileHandle;
}

async function pidNamespace(runtime: Runtime, sandbox: Sandbox, options: NamespaceOption__Output | null, signal: AbortSignal): Promise<PidNamespace> {
  const mode = options?.pid ?? 'POD';
  if (mode === 'NODE') return { pid: [] };
  if (mode === 'CONTAINER') return { pid: [{ type: 'pid' }] };
  if (mode === 'POD') {
    const path = await runtime.locks.run(pidLock(sandbox.record.id), signal, () => ensureSharedPid(runtime, sandbox, signal));
    return { pid: [{ type: 'pid', path }] };
  }
  const target = await openTarget(runtime, sandbox, options?.target_id ?? '', signal);
  return { pid: [{ type: 'pid', path: `/proc/${process.pid}/fd/${target.fd}` }], target };
}

/**
 * The target's PID namespace, held open. Its pid might by now be another process's: only when the shim says
 * afterwards that its process still lives was that the one whose namespace was opened.
 */
async function openTarget(runtime: Runtime, sandbox: Sandbox, targetId: string, signal: AbortSignal): Promise<FileHandle> {
  const target = runtime.containers.find(targetId);
  if (targetId === '' || target === undefined || target.record.sandboxId !== sandbox.record.id) {
    throw invalidField(`${field}.target_id`, `"${targetId}" is not a container of this pod`);
  }
  const { id, phase, pid } = target.record;
  const gone = (cause?: unknown): BerthError =>
    new BerthError('CONTAINER_WRONG_STATE', `${field}.target_id: container ${id} is not running`, { cause });
  if (phase !== 'running') throw gone();
  let namespace: FileHandle | undefined;
  try {
    namespace = await open(`/proc/${pid}/ns/pid`, 'r');
    if (target.shim === undefined) throw gone();
    await target.shim.probe(signal);
    return namespace;
  } catch (cause) {
    await namespace?.close();
    signal.throwIfAborted();
    throw gone(cause);
  }
}
