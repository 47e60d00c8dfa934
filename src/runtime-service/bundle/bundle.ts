import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ContainerEdits } from '../../cdi/edits.ts';
import type { ImageRunConfig } from '../../image-service/images.ts';
import type { LinuxContainerSecurityContext__Output } from '../../cri-server/generated/runtime/v1/LinuxContainerSecurityContext.ts';
import type { StoredContainerConfig } from '../../state/container.ts';
import type { ContainerConfinement } from '../security/confinement.ts';
import { capabilitySets } from './capabilities.ts';
import { ociHooks, withCdiMounts } from './cdi.ts';
import type { ContainerDevices } from './devices.ts';
import { containerMounts, rootPropagation } from './mounts.ts';
import type { MountContext } from './mounts.ts';
import { bundleUser, processArgs, processEnv, workingDirectory } from './process.ts';

/** A namespace of the OCI runtime spec; without a path it is new. */
export interface OciNamespace {
  readonly type: 'mount' | 'pid' | 'network' | 'ipc' | 'uts' | 'cgroup' | 'user';
  readonly path?: string;
}

export interface BundleInput {
  readonly id: string;
  readonly config: StoredContainerConfig;
  readonly image: ImageRunConfig;
  readonly hostname: string;
  readonly namespaces: readonly OciNamespace[];
  readonly mounts: Omit<MountContext, 'privileged' | 'readonlyRoot'>;
  readonly devices: ContainerDevices;
  /** Of the container's CDI devices; their device nodes are in `devices` already. */
  readonly edits: ContainerEdits;
  /** Absolute cgroup directory, and the same below the cgroup2 mount for the OCI field. */
  readonly cgroup: { readonly path: string; readonly relative: string };
  readonly rootfs: { readonly lower: readonly string[]; readonly upper: string; readonly work: string };
  /** Absolute; empty for no log. */
  readonly logPath: string;
  /** Bytes a second; 0 for no limit. */
  readonly logRate: number;
  readonly confinement: ContainerConfinement;
  readonly grantable: ReadonlySet<string>;
  /** Hard limit of open files that berthd may hand on. */
  readonly maxOpenFiles: number;
}

/** What is hidden of /proc and /sys when the request says nothing at all of security (the list that Docker and containerd use). */
const maskedPaths = [
  '/proc/acpi', '/proc/asound', '/proc/interrupts', '/proc/kcore', '/proc/keys', '/proc/latency_stats', '/proc/sched_debug',
  '/proc/scsi', '/proc/timer_list', '/proc/timer_stats', '/sys/devices/virtual/powercap', '/sys/firmware',
];
const readonlyPaths = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];

/**
 * A request with a security context says all: no path in it means that none is hidden (ProcMount "Unmasked" comes
 * that way), as with containerd and CRI-O.
 */
function hiddenPaths(security: LinuxContainerSecurityContext__Output | null): { readonly maskedPaths: readonly string[]; readonly readonlyPaths: readonly string[] } {
  if (security === null) return { maskedPaths, readonlyPaths };
  if (security.privileged) return { maskedPaths: [], readonlyPaths: [] };
  return { maskedPaths: security.masked_paths, readonlyPaths: security.readonly_paths };
}

/** config.json of the OCI runtime spec. Throws INVALID_FIELD when the request cannot be honoured. */
export function ociConfig(input: BundleInput): object {
  const { config, image } = input;
  const security = config.linux?.security_context ?? null;
  const privileged = security?.privileged ?? false;
  const readonlyRoot = security?.readonly_rootfs ?? false;
  return {
    ociVersion: '1.2.0',
    process: {
      terminal: config.tty,
      user: { uid: 0, gid: 0 },
      args: processArgs(config, image),
      env: processEnv(config, image, input.hostname, input.edits.env),
      cwd: workingDirectory(config, image),
      capabilities: capabilitySets(security?.capabilities ?? null, privileged, input.grantable, 'config.linux.security_context.capabilities'),
      rlimits: [{ type: 'RLIMIT_NOFILE', soft: Math.min(1024, input.maxOpenFiles), hard: Math.min(524_288, input.maxOpenFiles) }],
      noNewPrivileges: security?.no_new_privs ?? false,
      oomScoreAdj: Number(config.linux?.resources?.oom_score_adj ?? 0),
      ...(input.confinement.appArmorProfile === '' ? {} : { apparmorProfile: input.confinement.appArmorProfile }),
    },
    root: { path: 'rootfs', readonly: readonlyRoot },
    mounts: withCdiMounts(containerMounts(config.mounts, { ...input.mounts, privileged, readonlyRoot }), input.edits.mounts),
    ...ociHooks(input.edits.hooks),
    annotations: { 'io.kubernetes.cri.container-name': config.metadata?.name ?? '' },
    linux: {
      cgroupsPath: input.cgroup.relative,
      namespaces: input.namespaces,
      ...(input.mounts.idMaps === null ? {} : { uidMappings: input.mounts.idMaps.uids, gidMappings: input.mounts.idMaps.gids }),
      devices: input.devices.devices,
      resources: { devices: input.devices.rules },
      rootfsPropagation: rootPropagation(config.mounts),
      ...hiddenPaths(security),
    },
  };
}

/** berth.json (docs/shim-protocol.md): what the OCI spec has no place for. */
export function berthConfig(input: BundleInput): object {
  const { config } = input;
  return {
    id: input.id,
    rootfs: { ...input.rootfs, volatile: true },
    log: input.logPath === '' ? null : { path: input.logPath, rate: input.logRate },
    stdin: config.stdin,
    stdinOnce: config.stdin_once,
    cgroup: input.cgroup.path,
    ...(input.confinement.seccompFilter === '' ? {} : { seccomp: input.confinement.seccompFilter }),
    user: bundleUser(config.linux?.security_context ?? null, input.image, input.edits.additionalGids),
  };
}

/** Writes both files into the bundle directory, which is made, with its `rootfs`. */
export async function writeBundle(directory: string, oci: object, berth: object): Promise<void> {
  await mkdir(join(directory, 'rootfs'), { recursive: true, mode: 0o700 });
  await Promise.all([
    writeFile(join(directory, 'config.json'), JSON.stringify(oci), { mode: 0o600 }),
    writeFile(join(directory, 'berth.json'), JSON.stringify(berth), { mode: 0o600 }),
  ]);
}
