import { BerthError } from '../../errors/catalogue.ts';
import type { Runtime, Sandbox } from '../runtime.ts';
import { reaperCgroup, sandboxPins } from './resources.ts';

/** How long the cgroup of a reaper that did not come up, or is gone, may take to empty, in ms. */
const reaperPatience = 10_000;

/**
 * Makes sure that the sandbox has a shared PID namespace. The caller holds the lock that `pidLock` names, as a
 * stop does while it unpins the namespaces. A pod asked for without one gets it with the first container that
 * wants to share; and one whose reaper was killed, and with it the kernel killed all that shared, gets a new one.
 */
export async function ensureSharedPid(runtime: Runtime, sandbox: Sandbox, signal: AbortSignal): Promise<string> {
  const { record } = sandbox;
  const { pid, user } = sandboxPins(runtime, record);
  const cgroup = reaperCgroup(runtime, record);
  const only = { net: '', ipc: '', uts: '', shm: '', pid };
  if (record.phase !== 'ready' || sandbox.stopping) throw new BerthError('SANDBOX_NOT_READY', `sandbox ${record.id} is not ready`);
  if (await runtime.cgroups.populated(cgroup)) return pid;
  if (await runtime.cgroups.exists(cgroup)) {
    runtime.log.warn({ sandbox: record.id }, 'the shared PID namespace has ended; a new one is made');
    await runtime.launcher.deleteSandbox(record.id, { ...only, user: '' }, signal);
    await runtime.cgroups.remove(cgroup, AbortSignal.timeout(reaperPatience));
  }
  await runtime.cgroups.create(cgroup, []);
  try {
    await runtime.launcher.createSandbox({ ...only, user, idMaps: null, id: record.id, hostname: '', sysctls: {}, shmSize: 0, cgroup }, signal);
  } catch (cause) {
    await runtime.cgroups.remove(cgroup, AbortSignal.timeout(reaperPatience));
    throw cause;
  }
  return pid;
}
