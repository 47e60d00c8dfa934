import { hostname as nodeHostname } from 'node:os';
import { join } from 'node:path';
import type { PodSandboxConfig__Output } from '../../cri-server/generated/runtime/v1/PodSandboxConfig.ts';
import type { RuntimeHandlers } from '../../cri-server/handlers.ts';
import { podWrites } from '../../cgroup/pod-limits.ts';
import { wrapError } from '../../errors/catalogue.ts';
import { NativeFailure } from '../../shim/channel.ts';
import type { PodNetworkResult } from '../../pod-network/pod-network.ts';
import { toBerthError } from '../../shim/native-error.ts';
import { fingerprint } from '../../state/fingerprint.ts';
import { newId } from '../../state/ids.ts';
import { sandboxName, sandboxTo } from '../../state/sandbox.ts';
import type { SandboxRecord } from '../../state/sandbox.ts';
import { allSettled } from '../../state/settled.ts';
import { queued, step } from '../../telemetry/steps.ts';
import { sandboxMade } from '../events/announce.ts';
import { withCallerLost } from '../lost-caller.ts';
import type { Runtime, Sandbox } from '../runtime.ts';
import { checkSelinuxOptions, hasSelinux } from '../selinux.ts';
import { writeSandboxFiles } from './files.ts';
import { failedName, makePinDirectories, networkRequest, reaperCgroup, releaseSandbox, sandboxPins } from './resources.ts';
import { sandboxIdMaps } from './user-namespace.ts';
import { namespaceOptions, validateSandbox } from './validate.ts';

/** How long a sandbox may take to be made, in ms, whoever still waits for it. */
const runDeadline = 240_000;

/** Bytes of /dev/shm, as Docker and containerd size it. */
const shmSize = 64 << 20;

/**
 * RunPodSandbox: a sandbox is ready when the call returns, or nothing of it is left.
 *
 * The work goes on when the caller gives up, because the kubelet will ask again for the same sandbox
 * and then joins it.
 */
export function runPodSandbox(runtime: Runtime): RuntimeHandlers['RunPodSandbox'] {
  return async (request, context) => {
    const config = validateSandbox(request.config, request.runtime_handler, runtime.cgroups.driver);
    checkSelinuxOptions(config.linux?.security_context?.selinux_options ?? null, 'config.linux.security_context.selinux_options', hasSelinux(), context.log);
    const name = sandboxName(config);
    const sandboxId = await runtime.sandboxNames.make(name, newId(), fingerprint(request), context.signal, (id) =>
      // Locked, so that a Stop or Remove finds it whole or not at all.
      withCallerLost(context, `the creation of sandbox ${id}`, () => runtime.locks.run(id, undefined, () => make(runtime, initialRecord(runtime, id, name, config, request.runtime_handler)))),
    );
    return { pod_sandbox_id: sandboxId };
  };
}

function initialRecord(runtime: Runtime, id: string, name: string, config: PodSandboxConfig__Output, runtimeHandler: string): SandboxRecord {
  const hostNetwork = namespaceOptions(config).network === 'NODE';
  const parent = config.linux?.cgroup_parent ?? '';
  return {
    version: 1,
    id,
    name,
    phase: 'creating',
    config,
    runtimeHandler,
    createdAt: String(runtime.clock.nowNanos()),
    bootId: runtime.bootId,
    ips: [],
    cniResult: null,
    hostname: hostNetwork || config.hostname === '' ? (hostNetwork ? nodeHostname() : id.slice(0, 12)) : config.hostname,
    cgroup: { path: runtime.cgroups.podDirectory(parent, id), made: [], own: parent === '' },
    ledger: ['cgroup', 'namespaces', ...(hostNetwork ? [] : (['network'] as const))],
  };
}

async function make(runtime: Runtime, initial: SandboxRecord): Promise<void> {
  const made = await cgroupsToMake(runtime, initial.cgroup.path);
  const sandbox: Sandbox = { record: { ...initial, cgroup: { ...initial.cgroup, made } }, stopping: false };
  runtime.sandboxes.set(initial.id, sandbox);
  const signal = AbortSignal.timeout(runDeadline);
  try {
    await queued(runtime.launches, 'sandbox.queue', () => setUp(runtime, sandbox, signal));
    sandboxMade(runtime, sandbox);
  } catch (cause) {
    const error = cause instanceof NativeFailure
      ? toBerthError(`run sandbox ${initial.id}`, cause.detail)
      : wrapError(`run sandbox ${initial.id}`, cause);
    await undo(runtime, sandbox).catch((err: unknown) => runtime.log.error({ err, sandbox: initial.id }, 'a failed sandbox cannot be undone'));
    throw error;
  }
}

async function setUp(runtime: Runtime, sandbox: Sandbox, signal: AbortSignal): Promise<void> {
  const { record } = sandbox;
  await step('sandbox.record', () => runtime.sandboxStore.save(record));
  let network: PodNetworkResult = { ips: [], cniResult: null };
  await allSettled([
    step('sandbox.files', () => writeSandboxFiles(runtime.sandboxStore.directoryOf(record.id), record.hostname, record.config)),
    makeIsolation(runtime, record, signal).then((result) => {
      network = result;
    }),
  ]);
  const ready = sandboxTo(record, 'ready', { ips: network.ips, cniResult: network.cniResult });
  await step('sandbox.record', () => runtime.sandboxStore.save(ready));
  sandbox.record = ready;
}

async function makeIsolation(runtime: Runtime, record: SandboxRecord, signal: AbortSignal): Promise<PodNetworkResult> {
  await step('sandbox.cgroup', () => makeCgroups(runtime, record));
  await step('sandbox.namespaces', () => makeNamespaces(runtime, record, signal));
  if (!record.ledger.includes('network')) return { ips: [], cniResult: null };
  return step('sandbox.network', () => runtime.network.setUp(networkRequest(runtime, record), signal));
}

/** Directories that are missing, or that another sandbox made: whichever goes last removes them. */
async function cgroupsToMake(runtime: Runtime, path: string): Promise<string[]> {
  const missing = await runtime.cgroups.missing(path);
  const ours = [...runtime.sandboxes.values()].flatMap((other) => other.record.cgroup.made).filter((made) => `${path}/`.startsWith(`${made}/`));
  return [...new Set([...ours, ...missing])].toSorted((a, b) => a.length - b.length);
}

async function makeCgroups(runtime: Runtime, record: SandboxRecord): Promise<void> {
  const { overhead, resources } = record.config.linux ?? { overhead: null, resources: null };
  // The kubelet limits the pod's cgroup itself where it made it.
  const writes = record.cgroup.made.includes(record.cgroup.path)
    ? podWrites(overhead, resources, 'config.linux')
    : [];
  await runtime.cgroups.create(record.cgroup.path, writes);
  if (namespaceOptions(record.config).pid === 'POD') await runtime.cgroups.create(reaperCgroup(runtime, record), []);
}

async function makeNamespaces(runtime: Runtime, record: SandboxRecord, signal: AbortSignal): Promise<void> {
  const pins = sandboxPins(runtime, record);
  const sharedPid = namespaceOptions(record.config).pid === 'POD';
  await makePinDirectories(runtime, record);
  await runtime.launcher.createSandbox(
    {
      ...pins,
      pid: sharedPid ? pins.pid : '',
      id: record.id,
      idMaps: sandboxIdMaps(record),
      hostname: pins.uts === '' ? '' : record.hostname,
      sysctls: record.config.linux?.sysctls ?? {},
      shmSize,
      cgroup: sharedPid ? reaperCgroup(runtime, record) : '',
    },
    signal,
  );
}

/**
 * Takes everything back. What cannot be taken back keeps the sandbox listed, not ready, for Stop and Remove
 * to retry, but not under its name, which a new attempt may take.
 */
async function undo(runtime: Runtime, sandbox: Sandbox): Promise<void> {
  const { id, ledger } = sandbox.record;
  const { left } = await releaseSandbox(runtime, sandbox.record, ledger);
  if (left.length === 0) {
    runtime.sandboxes.delete(id);
    await runtime.sandboxStore.remove(id);
    return;
  }
  sandbox.record = sandboxTo(sandbox.record, 'stopped', { ledger: left, name: failedName(id) });
  await runtime.sandboxStore.save(sandbox.record);
}

/** The directory of a sandbox's own files. */
export function sandboxFile(runtime: Runtime, sandboxId: string, file: string): string {
  return join(runtime.sandboxStore.directoryOf(sandboxId), file);
}
