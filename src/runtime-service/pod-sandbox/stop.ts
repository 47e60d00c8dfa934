import type { RuntimeHandlers } from '../../cri-server/handlers.ts';
import { wrapError } from '../../errors/catalogue.ts';
import type { LedgerEntry } from '../../state/ledger.ts';
import { sandboxTo } from '../../state/sandbox.ts';
import { killContainer } from '../container/kill.ts';
import { sandboxChanged } from '../events/announce.ts';
import { containersOf } from '../runtime.ts';
import type { Runtime, Sandbox } from '../runtime.ts';
import { pidLock, releaseSandbox } from './resources.ts';

/**
 * StopPodSandbox: ends the sandbox's processes by force and gives back its network. "This call is
 * idempotent, and must not return an error if all relevant resources have already been reclaimed."
 * (CRI, RuntimeService.StopPodSandbox); a sandbox that does not exist has none.
 */
export function stopPodSandbox(runtime: Runtime): RuntimeHandlers['StopPodSandbox'] {
  return async (request, context) => {
    const sandbox = runtime.sandboxes.find(request.pod_sandbox_id);
    if (sandbox !== undefined) {
      await runtime.locks.run(sandbox.record.id, context.signal, () => stopSandbox(runtime, sandbox));
    }
    return {};
  };
}

/** What a stopped sandbox gives back; its cgroup and files stay until it is removed. */
const releasedByStop: readonly LedgerEntry[] = ['namespaces', 'network'];

/** Stops a sandbox whose lock is held. Rejects when something could not be released; a repeated call tries that again. */
export async function stopSandbox(runtime: Runtime, sandbox: Sandbox): Promise<void> {
  sandbox.stopping = true;
  const { record } = sandbox;
  const held = record.ledger.filter((entry) => releasedByStop.includes(entry));
  const containers = containersOf(runtime, record.id);
  if (record.phase === 'stopped' && held.length === 0 && containers.every(({ record: { phase } }) => phase === 'exited')) return;
  await Promise.all(containers.map((container) => killContainer(runtime, container)));
  const { left, errors } = await runtime.locks.run(pidLock(record.id), undefined, () => releaseSandbox(runtime, record, held));
  const others = record.ledger.filter((entry) => !releasedByStop.includes(entry));
  sandbox.record = sandboxTo(record, 'stopped', { ledger: [...others, ...left] });
  sandboxChanged(runtime, sandbox);
  await runtime.sandboxStore.save(sandbox.record);
  if (errors.length > 0) throw wrapError(`stop sandbox ${record.id}`, errors[0]);
}
