import type { LinuxContainerResources__Output } from '../../cri-server/generated/runtime/v1/LinuxContainerResources.ts';
import type { RuntimeHandlers } from '../../cri-server/handlers.ts';
import { mergeResources, updateWrites } from '../../cgroup/merge.ts';
import { lowestOomScore, permittedOomScore, replaceOomScore, validateOomScore } from '../../cgroup/oom-score.ts';
import type { Undo } from '../../cgroup/transaction.ts';
import { BerthError, invalidField, wrapError } from '../../errors/catalogue.ts';
import type { ContainerRecord } from '../../state/container.ts';
import type { Container, Runtime } from '../runtime.ts';

/**
 * UpdateContainerResources: all of the given values hold when the call returns, or none does. Zero and empty
 * fields leave what there is. Annotations are hints for runtimes that know them; Berth knows none.
 */
export function updateContainerResources(runtime: Runtime): RuntimeHandlers['UpdateContainerResources'] {
  return async (request, context) => {
    const container = runtime.containers.get(request.container_id, 'container', 'CONTAINER_NOT_FOUND');
    if (request.windows !== null) throw invalidField('windows', 'this node runs Linux');
    const given = request.linux;
    if (given === null) return {};
    await runtime.locks.run(container.record.id, context.signal, () => update(runtime, container, given));
    return {};
  };
}

async function update(runtime: Runtime, container: Container, given: LinuxContainerResources__Output): Promise<void> {
  const { id, phase, config, cgroupPath } = container.record;
  if (phase !== 'created' && phase !== 'running') {
    throw new BerthError('CONTAINER_WRONG_STATE', `update container ${id}: it is ${phase}, neither created nor running`);
  }
  const merged = mergeResources(config.linux?.resources ?? null, given);
  validateOomScore(given.oom_score_adj, 'linux.oom_score_adj');
  const writes = updateWrites(merged, given, 'linux');
  const undos: Undo[] = [];
  try {
    undos.push(await runtime.cgroups.update(cgroupPath, writes));
    if (BigInt(given.oom_score_adj) !== 0n) undos.push(await updateOomScore(runtime, container.record, Number(given.oom_score_adj)));
    const updated = withResources(container.record, merged);
    await runtime.containerStore.save(updated);
    // It may have ended meanwhile: what the exit wrote stays.
    container.record = withResources(container.record, merged);
  } catch (cause) {
    await undoAll(runtime, id, undos);
    throw wrapError(`update container ${id}`, cause);
  }
}

async function updateOomScore(runtime: Runtime, { id, pid }: ContainerRecord, wanted: number): Promise<Undo> {
  const score = permittedOomScore(wanted, await lowestOomScore(), runtime.log.child({ container: id }));
  return replaceOomScore(pid, score);
}

function withResources(record: ContainerRecord, resources: LinuxContainerResources__Output): ContainerRecord {
  return { ...record, config: { ...record.config, linux: { security_context: null, ...record.config.linux, resources } } };
}

async function undoAll(runtime: Runtime, id: string, undos: readonly Undo[]): Promise<void> {
  for (const undo of undos.toReversed()) {
    await undo().catch((err: unknown) => runtime.log.error({ err, container: id }, 'an update that failed is not undone wholly'));
  }
}
