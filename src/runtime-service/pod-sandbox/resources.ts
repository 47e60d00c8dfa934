import { mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { PodNetworkRequest, PortProtocol } from '../../pod-network/pod-network.ts';
import type { SandboxPins } from '../../shim/launcher.ts';
import type { LedgerEntry } from '../../state/ledger.ts';
import { releaseEntries } from '../../state/ledger.ts';
import type { SandboxRecord } from '../../state/sandbox.ts';
import type { Runtime } from '../runtime.ts';
import { sandboxIdMaps } from './user-namespace.ts';
import { namespaceOptions } from './validate.ts';

/** Where the namespaces of a sandbox are pinned. */
export function sandboxPins(runtime: Runtime, record: SandboxRecord): SandboxPins {
  const options = namespaceOptions(record.config);
  const directory = runtime.paths.namespaces(record.id);
  return {
    net: options.network === 'POD' ? runtime.paths.netns(record.id) : '',
    ipc: options.ipc === 'POD' ? join(directory, 'ipc') : '',
    uts: options.network === 'POD' ? join(directory, 'uts') : '',
    pid: join(directory, 'pid'),
    user: sandboxIdMaps(record) === null ? '' : join(directory, 'user'),
    shm: options.ipc === 'POD' ? join(directory, 'shm') : '',
  };
}

/** What may be pinned for a sandbox, also for one whose configuration was lost; deleting what is not there does no harm. */
export function possiblePins(runtime: Runtime, record: SandboxRecord): SandboxPins {
  return { ...sandboxPins(runtime, record), user: join(runtime.paths.namespaces(record.id), 'user') };
}

/** The lock under which a sandbox's shared PID namespace is made and unmade. */
export function pidLock(sandboxId: string): string {
  return `${sandboxId}/pid`;
}

/** The name of an object whose creation failed and could not be undone: the one asked for is free again. */
export function failedName(id: string): string {
  return `failed_${id}`;
}

/** The reaper of a shared PID namespace has a cgroup of its own beside the containers'. */
export function reaperCgroup(runtime: Runtime, record: SandboxRecord): string {
  return runtime.cgroups.reaperDirectory(record.cgroup.path, record.id);
}

/** Makes the parents of the pin files. */
export async function makePinDirectories(runtime: Runtime, record: SandboxRecord): Promise<void> {
  await mkdir(runtime.paths.namespaces(record.id), { recursive: true, mode: 0o700 });
  await mkdir(dirname(runtime.paths.netns(record.id)), { recursive: true, mode: 0o755 });
}

/** What CNI is told about the sandbox, at ADD and at DEL. */
export function networkRequest(runtime: Runtime, record: SandboxRecord): PodNetworkRequest {
  const { metadata, port_mappings, annotations, dns_config } = record.config;
  return {
    sandboxId: record.id,
    netnsPath: runtime.paths.netns(record.id),
    podNamespace: metadata?.namespace ?? '',
    podName: metadata?.name ?? '',
    podUid: metadata?.uid ?? '',
    portMappings: port_mappings
      .filter((port) => port.host_port > 0)
      .map((port) => ({
        protocol: port.protocol.toLowerCase() as PortProtocol,
        containerPort: port.container_port,
        hostPort: port.host_port,
        hostIp: port.host_ip,
      })),
    annotations,
    cgroupPath: record.cgroup.path,
    dns: { servers: dns_config?.servers ?? [], searches: dns_config?.searches ?? [], options: dns_config?.options ?? [] },
  };
}

/** Of the directories that Berth made for this sandbox those that no other sandbox lives in, deepest first. */
function unusedCgroups(runtime: Runtime, record: SandboxRecord): string[] {
  const others = [...runtime.sandboxes.values()].filter((other) => other.record.id !== record.id).map((other) => `${other.record.cgroup.path}/`);
  return record.cgroup.made.filter((directory) => !others.some((path) => path.startsWith(`${directory}/`))).toReversed();
}

/** Releases the entries of the sandbox's ledger in reverse; returns what could not be released. */
export function releaseSandbox(
  runtime: Runtime,
  record: SandboxRecord,
  entries: readonly LedgerEntry[],
): Promise<{ left: LedgerEntry[]; errors: unknown[] }> {
  const release = async (entry: LedgerEntry, signal: AbortSignal): Promise<void> => {
    if (entry === 'network') await runtime.network.tearDown(networkRequest(runtime, record), signal);
    if (entry === 'namespaces') {
      await runtime.cgroups.kill(reaperCgroup(runtime, record));
      await runtime.launcher.deleteSandbox(record.id, possiblePins(runtime, record), signal);
      await rm(runtime.paths.namespaces(record.id), { recursive: true, force: true });
    }
    if (entry === 'cgroup') {
      await runtime.cgroups.remove(record.cgroup.own ? record.cgroup.path : reaperCgroup(runtime, record), signal);
      for (const directory of unusedCgroups(runtime, record)) await runtime.cgroups.removeIfEmpty(directory);
    }
  };
  return releaseEntries(entries, release, runtime.log.child({ sandbox: record.id }), runtime.metrics.releaseFailed);
}
