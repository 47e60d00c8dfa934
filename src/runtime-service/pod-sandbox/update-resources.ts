import type { LinuxContainerResources__Output } from '../../cri-server/generated/runtime/v1/LinuxContainerResources.ts';
import type { RuntimeHandlers } from '../../cri-server/handlers.ts';
import { mergeResources } from '../../cgroup/merge.ts';
import { podWrites } from '../../cgroup/pod-limits.ts';
import { BerthError, wrapError } from '../../errors/catalogue.ts';
import type { SandboxRecord } from '../../state/sandbox.ts';
import type { Runtime, Sandbox } from '../runtime.ts';

type Resources = LinuxContainerResources__Output;

/**
 * UpdatePodSandboxResources: called "after the Kubelet reconfigures the pod-level cgroups" (CRI), so the
 * values are remembered, and written only where Berth made the pod's cgroup itself. All or nothing.
 */
export function updatePodSandboxResources(runtime: Runtime): RuntimeHandlers['UpdatePodSandboxResources'] {
  return async (request, context) => {
    const sandbox = runtime.sandboxes.get(request.pod_sandbox_id, 'sandbox', 'SANDBOX_NOT_FOUND');
    const { overhead, resources } = request;
    await runtime.locks.run(sandbox.record.id, context.signal, () => update(runtime, sandbox, overhead, resources));
    return {};
  };
}

async function update(runtime: Runtime, sandbox: Sandbox, overhead: Resources | null, resources: Resources | null): Promise<void> {
  const { record } = sandbox;
  if (record.phase !== 'ready' || sandbox.stopping) throw new BerthError('SANDBOX_NOT_READY', `sandbox ${record.id} is not ready`);
  const linux = record.config.linux;
  const merged = { overhead: merge(linux?.overhead ?? null, overhead), resources: merge(linux?.resources ?? null, resources) };
  const writes = podWrites(merged.overhead, merged.resources, 'request');
  const ours = record.cgroup.made.includes(record.cgroup.path);
  try {
    const undo = await runtime.cgroups.update(record.cgroup.path, ours ? writes : []);
    const updated = withResources(record, merged);
    await runtime.sandboxStore.save(updated).catch(async (cause: unknown) => {
      await undo();
      throw cause;
    });
    sandbox.record = updated;
  } catch (cause) {
    throw wrapError(`update sandbox ${record.id}`, cause);
  }
}

function merge(before: Resources | null, given: Resources | null): Resources | null {
  return given === null ? before : mergeResources(before, given);
}

function withResources(record: SandboxRecord, merged: { readonly overhead: Resources | null; readonly resources: Resources | null }): SandboxRecord {
  const linux = record.config.linux ?? { cgroup_parent: '', security_context: null, sysctls: {}, overhead: null, resources: null };
  return { ...record, config: { ...record.config, linux: { ...linux, ...merged } } };
}
