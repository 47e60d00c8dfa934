import { readFile } from 'node:fs/promises';
import type { Capability__Output } from '../../cri-server/generated/runtime/v1/Capability.ts';
import { invalidField } from '../../errors/catalogue.ts';

/** Capabilities by number (linux/capability.h). */
const names = [
  'CHOWN', 'DAC_OVERRIDE', 'DAC_READ_SEARCH', 'FOWNER', 'FSETID', 'KILL', 'SETGID', 'SETUID', 'SETPCAP', 'LINUX_IMMUTABLE',
  'NET_BIND_SERVICE', 'NET_BROADCAST', 'NET_ADMIN', 'NET_RAW', 'IPC_LOCK', 'IPC_OWNER', 'SYS_MODULE', 'SYS_RAWIO', 'SYS_CHROOT',
  'SYS_PTRACE', 'SYS_PACCT', 'SYS_ADMIN', 'SYS_BOOT', 'SYS_NICE', 'SYS_RESOURCE', 'SYS_TIME', 'SYS_TTY_CONFIG', 'MKNOD', 'LEASE',
  'AUDIT_WRITE', 'AUDIT_CONTROL', 'SETFCAP', 'MAC_OVERRIDE', 'MAC_ADMIN', 'SYSLOG', 'WAKE_ALARM', 'BLOCK_SUSPEND', 'AUDIT_READ',
  'PERFMON', 'BPF', 'CHECKPOINT_RESTORE',
] as const;

/** What a container gets when nobody says otherwise: the set that Docker, containerd and CRI-O users know. */
const defaults: readonly string[] = [
  'AUDIT_WRITE', 'CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'FSETID', 'KILL', 'MKNOD', 'NET_BIND_SERVICE', 'NET_RAW', 'SETFCAP', 'SETGID',
  'SETPCAP', 'SETUID', 'SYS_CHROOT',
];

/** The capability sets of the OCI process object, as "CAP_…" names. */
export interface CapabilitySets {
  readonly bounding: string[];
  readonly effective: string[];
  readonly permitted: string[];
  readonly inheritable: string[];
  readonly ambient: string[];
}

/** Capabilities that this process may hand on: its bounding set (proc_pid_status(5), CapBnd). */
export async function grantableCapabilities(): Promise<ReadonlySet<string>> {
  const mask = /^CapBnd:\s*([0-9a-f]+)$/m.exec(await readFile('/proc/self/status', 'utf8'))?.[1] ?? '0';
  const bits = BigInt(`0x${mask}`);
  return new Set(names.filter((_, number) => (bits >> BigInt(number)) & 1n));
}

/**
 * Applies add and drop, "ALL" included, to the defaults; a drop wins over an add of the same name, "ALL" of
 * both too, while single names count beside the "ALL" of the other side. The inheritable set holds nothing
 * but the ambient one (CVE-2022-24769). Throws INVALID_FIELD for a name that Linux does not know.
 */
export function capabilitySets(
  requested: Capability__Output | null,
  privileged: boolean,
  grantable: ReadonlySet<string>,
  field: string,
): CapabilitySets {
  const add = normalise(requested?.add_capabilities ?? [], `${field}.add_capabilities`);
  const drop = normalise(requested?.drop_capabilities ?? [], `${field}.drop_capabilities`);
  const ambient = normalise(requested?.add_ambient_capabilities ?? [], `${field}.add_ambient_capabilities`);
  const wanted = new Set<string>([...startingSet(privileged, add, drop), ...add, ...ambient].filter((name) => name !== 'ALL'));
  if (!privileged) for (const name of drop) wanted.delete(name);
  const refused = [...add, ...ambient].find((name) => name !== 'ALL' && !grantable.has(name));
  if (refused !== undefined) throw invalidField(field, `capability ${refused} cannot be given: berthd itself does not have it`);
  const allowed = names.filter((name) => wanted.has(name) && grantable.has(name));
  const granted = allowed.map((name) => `CAP_${name}`);
  // The kernel takes no capability into the ambient set that is not permitted (capabilities(7)).
  const handedOn = allowed.filter((name) => ambient.has('ALL') || ambient.has(name)).map((name) => `CAP_${name}`);
  return { bounding: granted, effective: granted, permitted: granted, inheritable: handedOn, ambient: handedOn };
}

function startingSet(privileged: boolean, add: ReadonlySet<string>, drop: ReadonlySet<string>): readonly string[] {
  if (privileged) return names;
  if (drop.has('ALL')) return [];
  return add.has('ALL') ? names : defaults;
}

function normalise(list: readonly string[], field: string): Set<string> {
  const known: ReadonlySet<string> = new Set(['ALL', ...names]);
  return new Set(
    list.map((text, index) => {
      const name = text.toUpperCase().replace(/^CAP_/, '');
      if (!known.has(name)) throw invalidField(`${field}[${index}]`, `"${text}" is not a capability of Linux`);
      return name;
    }),
  );
}
