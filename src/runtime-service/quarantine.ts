import { readFile } from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path';
import type { ContainerRecord } from '../state/container.ts';
import type { SandboxRecord } from '../state/sandbox.ts';
import type { Runtime } from './runtime.ts';

/**
 * Stand-ins for records that cannot be read. They are listed, so that an operator sees them, and hold
 * the ledger of everything that such an object may have, so that Stop and Remove clean up after it.
 */

const unknown = 'unknown';

export function quarantinedSandbox(runtime: Runtime, id: string): SandboxRecord {
  const path = runtime.cgroups.podDirectory('', id);
  return {
    version: 1,
    id,
    name: `${unknown}_${id}`,
    phase: 'stopped',
    config: {
      metadata: { name: unknown, namespace: unknown, uid: id, attempt: 0 },
      hostname: '',
      log_directory: '',
      dns_config: null,
      port_mappings: [],
      labels: {},
      annotations: {},
      linux: null,
      windows: null,
    },
    runtimeHandler: '',
    createdAt: String(runtime.clock.nowNanos()),
    bootId: runtime.bootId,
    ips: [],
    cniResult: null,
    hostname: '',
    cgroup: { path, made: [dirname(path)], own: true },
    ledger: ['cgroup', 'namespaces', 'network'],
  };
}

export async function quarantinedContainer(runtime: Runtime, id: string): Promise<ContainerRecord> {
  const cgroup = await bundleCgroup(runtime, id);
  const now = String(runtime.clock.nowNanos());
  return {
    version: 1,
    id,
    sandboxId: '',
    name: `${unknown}_${id}`,
    phase: 'exited',
    quarantined: true,
    config: {
      metadata: { name: unknown, attempt: 0 },
      image: null,
      command: [],
      args: [],
      working_dir: '',
      envs: [],
      mounts: [],
      devices: [],
      labels: {},
      annotations: {},
      log_path: '',
      stdin: false,
      stdin_once: false,
      tty: false,
      linux: null,
      windows: null,
      CDI_devices: [],
      stop_signal: 'SIGNAL_RUNTIME_DEFAULT',
    },
    imageId: '',
    imageRef: '',
    bootId: runtime.bootId,
    createdAt: now,
    startedAt: '0',
    finishedAt: now,
    pid: 0,
    exitCode: 255,
    exitKnown: false,
    oomKilled: false,
    message: 'the record of this container cannot be read',
    user: undefined,
    logPath: '',
    cgroupPath: cgroup === '' ? runtime.cgroups.containerDirectory(runtime.cgroups.podDirectory('', unknown), id) : cgroup,
    stopSignal: 15,
    ledger: ['image', 'directory', 'cgroup', 'shim'],
  };
}

/** The cgroup that a bundle names; empty when there is none below the hierarchy. */
export async function bundleCgroup(runtime: Runtime, id: string): Promise<string> {
  try {
    const bundle: unknown = JSON.parse(await readFile(join(runtime.paths.shim(id), 'berth.json'), 'utf8'));
    const cgroup = (bundle as { cgroup?: unknown } | null)?.cgroup;
    if (typeof cgroup !== 'string' || normalize(cgroup) !== cgroup) return '';
    const inside = cgroup.startsWith(`${runtime.cgroups.hierarchy.mountPoint}/`) && runtime.cgroups.isContainerDirectory(cgroup, id);
    return inside ? cgroup : '';
  } catch {
    return '';
  }
}
