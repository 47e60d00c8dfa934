import type { IDMapping__Output } from '../../cri-server/generated/runtime/v1/IDMapping.ts';
import type { PodSandboxConfig__Output } from '../../cri-server/generated/runtime/v1/PodSandboxConfig.ts';
import type { UserNamespace__Output } from '../../cri-server/generated/runtime/v1/UserNamespace.ts';
import { invalidField } from '../../errors/catalogue.ts';
import type { IdMaps, IdRange } from '../../shim/launcher.ts';
import type { SandboxRecord } from '../../state/sandbox.ts';

/** 2^32 - 1 is no id, so a range ends at it at the latest (setresuid(2)). */
const idEnd = 0xffff_ffff;

/**
 * The pod's user namespace as the CRI asks for it; null for the node's. The CRI wants one range for both kinds
 * of ids, as the kubelet sends it (NamespaceOption.userns_options). Throws INVALID_FIELD.
 */
export function userNamespace(options: UserNamespace__Output | null, field: string): IdMaps | null {
  if (options === null || options.mode === 'NODE') {
    refuseMappings(options, field);
    return null;
  }
  if (options.mode !== 'POD') throw invalidField(`${field}.mode`, `${String(options.mode)} is not a mode for user namespaces: POD or NODE`);
  const uids = [singleRange(options.uids, `${field}.uids`)];
  const gids = [singleRange(options.gids, `${field}.gids`)];
  if (!sameRanges(uids, gids)) throw invalidField(`${field}.gids`, 'differ from uids');
  return { uids, gids };
}

/** The id maps of a sandbox whose configuration has been checked. */
export function sandboxIdMaps(record: Pick<SandboxRecord, 'config'>): IdMaps | null {
  const options = podUserNamespace(record.config);
  return options?.mode === 'POD' ? userNamespace(options, podField) : null;
}

const podField = 'config.linux.security_context.namespace_options.userns_options';

export function validatePodUserNamespace(config: PodSandboxConfig__Output): IdMaps | null {
  return userNamespace(podUserNamespace(config), podField);
}

/** A container is in the user namespace of its pod: what it says of it, if anything, is what the pod said. */
export function validateContainerUserNamespace(options: UserNamespace__Output | null, pod: IdMaps | null): void {
  if (options === null) return;
  const own = userNamespace(options, podField);
  if (!equalIdMaps(own, pod)) throw invalidField(podField, "differs from the pod's");
}

/** The maps of an id-mapped mount; null for none. Several ranges are possible here. Throws INVALID_FIELD. */
export function mountIdMaps(mount: { readonly uidMappings: IDMapping__Output[]; readonly gidMappings: IDMapping__Output[] }, field: string): IdMaps | null {
  if (mount.uidMappings.length + mount.gidMappings.length === 0) return null;
  return { uids: ranges(mount.uidMappings, `${field}.uidMappings`), gids: ranges(mount.gidMappings, `${field}.gidMappings`) };
}

function podUserNamespace(config: PodSandboxConfig__Output): UserNamespace__Output | null {
  return config.linux?.security_context?.namespace_options?.userns_options ?? null;
}

function refuseMappings(options: UserNamespace__Output | null, field: string): void {
  for (const kind of ['uids', 'gids'] as const) {
    if ((options?.[kind].length ?? 0) > 0) throw invalidField(`${field}.${kind}`, 'needs mode POD');
  }
}

function singleRange(mappings: readonly IDMapping__Output[], field: string): IdRange {
  const [only] = ranges(mappings, field);
  if (only === undefined || mappings.length > 1) throw invalidField(field, `holds ${mappings.length} mappings: give one`);
  if (only.containerID !== 0) throw invalidField(`${field}[0].container_id`, `${only.containerID} leaves the pod without a root: give 0`);
  return only;
}

/** The native programs take so many. */
const maxRanges = 32;

function ranges(mappings: readonly IDMapping__Output[], field: string): IdRange[] {
  if (mappings.length === 0) throw invalidField(field, 'is empty');
  if (mappings.length > maxRanges) throw invalidField(field, `holds ${mappings.length} mappings: at most ${maxRanges} are possible`);
  const taken: IdRange[] = [];
  for (const [index, mapping] of mappings.entries()) {
    taken.push(checkedRange({ containerID: mapping.container_id, hostID: mapping.host_id, size: mapping.length }, taken, `${field}[${index}]`));
  }
  return taken;
}

function checkedRange(range: IdRange, others: readonly IdRange[], field: string): IdRange {
  const { containerID, hostID, size } = range;
  if (size === 0) throw invalidField(`${field}.length`, 'is 0');
  if (containerID + size > idEnd) throw invalidField(`${field}.length`, `${size} from container_id ${containerID} leads beyond the last id`);
  if (hostID + size > idEnd) throw invalidField(`${field}.length`, `${size} from host_id ${hostID} leads beyond the last id`);
  for (const other of others) {
    if (overlap(containerID, size, other.containerID, other.size)) throw invalidField(`${field}.container_id`, 'overlaps another mapping');
    if (overlap(hostID, size, other.hostID, other.size)) throw invalidField(`${field}.host_id`, 'overlaps another mapping');
  }
  return range;
}

/** The ids on the node of a user and a group inside; those that have none there stay as they are. */
export function hostIds(maps: IdMaps, ids: { readonly uid: number; readonly gid: number }): { readonly uid: number; readonly gid: number } {
  const outside = (list: readonly IdRange[], id: number): number => {
    const range = list.find(({ containerID, size }) => id >= containerID && id < containerID + size);
    return range === undefined ? id : range.hostID + id - range.containerID;
  };
  return { uid: outside(maps.uids, ids.uid), gid: outside(maps.gids, ids.gid) };
}

export function equalIdMaps(a: IdMaps | null, b: IdMaps | null): boolean {
  return a === null || b === null ? a === b : sameRanges(a.uids, b.uids) && sameRanges(a.gids, b.gids);
}

function overlap(a: number, length: number, b: number, otherLength: number): boolean {
  return a < b + otherLength && b < a + length;
}

function sameRanges(a: readonly IdRange[], b: readonly IdRange[]): boolean {
  return a.length === b.length && a.every((range, index) => {
    const other = b[index];
    return other !== undefined && range.containerID === other.containerID && range.hostID === other.hostID && range.size === other.size;
  });
}
