import type { Mount__Output } from '../../cri-server/generated/runtime/v1/Mount.ts';
import { invalidField } from '../../errors/catalogue.ts';
import type { IdMaps } from '../../shim/launcher.ts';
import { equalIdMaps, mountIdMaps } from '../pod-sandbox/user-namespace.ts';
import { normalise } from './container-path.ts';
import { imageMount, isImageMount } from './image-mounts.ts';
import type { MountedImages } from './image-mounts.ts';
import type { OciMount } from './oci-mount.ts';

export interface MountContext {
  readonly privileged: boolean;
  readonly readonlyRoot: boolean;
  /** Host paths of the pod's own files. */
  readonly hosts: string;
  readonly hostname: string;
  readonly resolvConf: string;
  /** The pod's /dev/shm; the node's for a pod in the node's IPC namespace. */
  readonly shm: string;
  /** Of the pod's user namespace, or null. */
  readonly idMaps: IdMaps | null;
  /** Of the images that the container mounts. */
  readonly images: MountedImages;
  /** Where `emptyLayers` are. */
  readonly empty: string;
  /** The volumes that the image declares. */
  readonly volumes: readonly ImageVolume[];
}

/** A directory of the container's own for a VOLUME of its image. */
export interface ImageVolume {
  readonly destination: string;
  readonly source: string;
}

/** All mounts of a container, parents before children. A mount of the request replaces one of ours at the same place. */
export function containerMounts(requested: readonly Mount__Output[], context: MountContext): OciMount[] {
  const byDestination = new Map<string, OciMount>();
  for (const mount of [...imageVolumes(context.volumes), ...baseMounts(context), ...podFiles(context)]) byDestination.set(mount.destination, mount);
  // A /dev of the request comes with all that is below it.
  if (requested.some(({ container_path }) => normalise(container_path) === '/dev')) {
    for (const destination of byDestination.keys()) if (destination.startsWith('/dev/')) byDestination.delete(destination);
  }
  for (const [index, mount] of requested.entries()) {
    const converted = requestedMount(mount, `config.mounts[${index}]`, context);
    byDestination.delete(converted.destination);
    byDestination.set(converted.destination, converted);
  }
  const depth = (mount: OciMount) => mount.destination.split('/').filter((part) => part !== '').length;
  return [...byDestination.values()].toSorted((a, b) => depth(a) - depth(b));
}

function baseMounts(context: MountContext): OciMount[] {
  const kernel = ['nosuid', 'noexec', 'nodev'];
  const access = context.privileged ? 'rw' : 'ro';
  return [
    { destination: '/proc', type: 'proc', source: 'proc', options: kernel },
    { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'] },
    { destination: '/dev/pts', type: 'devpts', source: 'devpts', options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'] },
    { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: kernel },
    { destination: '/dev/shm', type: 'bind', source: context.shm, options: ['rbind', 'rprivate', ...kernel] },
    { destination: '/sys', type: 'sysfs', source: 'sysfs', options: [...kernel, access] },
    { destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: [...kernel, 'relatime', access] },
  ];
}

function podFiles(context: MountContext): OciMount[] {
  const options = ['rbind', 'rprivate', context.readonlyRoot ? 'ro' : 'rw'];
  return [
    { destination: '/etc/hosts', type: 'bind', source: context.hosts, options, ...mapped(context.idMaps) },
    { destination: '/etc/hostname', type: 'bind', source: context.hostname, options, ...mapped(context.idMaps) },
    { destination: '/etc/resolv.conf', type: 'bind', source: context.resolvConf, options, ...mapped(context.idMaps) },
  ];
}

function mapped(maps: IdMaps | null): Pick<OciMount, 'uidMappings' | 'gidMappings'> {
  return maps === null ? {} : { uidMappings: maps.uids, gidMappings: maps.gids };
}

const propagations = {
  PROPAGATION_PRIVATE: 'rprivate',
  PROPAGATION_HOST_TO_CONTAINER: 'rslave',
  PROPAGATION_BIDIRECTIONAL: 'rshared',
} as const;

/** What the image has at the place is copied into them first. */
function imageVolumes(volumes: readonly ImageVolume[]): OciMount[] {
  return volumes.map(({ destination, source }) => ({ destination, type: 'bind', source, options: ['rbind', 'rprivate', 'rw', 'x-berth.copy-up'] }));
}

/** Throws INVALID_FIELD for what cannot be honoured. */
function requestedMount(mount: Mount__Output, field: string, context: MountContext): OciMount {
  if (!mount.container_path.startsWith('/')) throw invalidField(`${field}.container_path`, `"${mount.container_path}" is not an absolute path`);
  const destination = normalise(mount.container_path);
  if (destination === '/') throw invalidField(`${field}.container_path`, 'is the root of the container');
  const maps = mountIdMaps(mount, field);
  const extra = extraOptions(mount.mount_options, `${field}.mount_options`);
  if (isImageMount(mount)) {
    // Its layers are mapped with the root's: as the pod's user namespace has it, and not otherwise.
    if (maps !== null && !equalIdMaps(maps, context.idMaps)) throw invalidField(`${field}.uidMappings`, "of an image differ from the pod's user namespace");
    const image = imageMount(mount, destination, context.images, context.empty);
    return { ...image, options: [...extra, ...image.options] };
  }
  if (!mount.host_path.startsWith('/')) throw invalidField(`${field}.host_path`, `"${mount.host_path}" is not an absolute path`);
  if (mount.recursive_read_only && !mount.readonly) throw invalidField(`${field}.recursive_read_only`, 'needs readonly');
  if (mount.recursive_read_only && mount.propagation !== 'PROPAGATION_PRIVATE') {
    throw invalidField(`${field}.recursive_read_only`, 'needs private propagation');
  }
  const propagation = propagations[mount.propagation as keyof typeof propagations];
  if (mount.propagation === 'PROPAGATION_BIDIRECTIONAL' && context.idMaps !== null) {
    throw invalidField(`${field}.propagation`, 'a pod with a user namespace cannot share mounts with the node');
  }
  if (propagation === undefined) throw invalidField(`${field}.propagation`, `${String(mount.propagation)} is no known propagation`);
  const access = mount.recursive_read_only ? 'rro' : mount.readonly ? 'ro' : 'rw';
  const mapping = maps === null ? [] : ['ridmap'];
  return { destination, type: 'bind', source: mount.host_path, options: ['rbind', propagation, ...extra, access, ...mapping], ...mapped(maps) };
}

/** Options of mount(8) that hold for a bind mount as such. What the other fields say, they do not say again. */
const bindOptions: ReadonlySet<string> = new Set([
  'nosuid', 'suid', 'nodev', 'dev', 'noexec', 'exec', 'noatime', 'atime', 'relatime', 'norelatime', 'strictatime', 'nostrictatime',
  'nodiratime', 'diratime', 'nosymfollow', 'symfollow',
]);

function extraOptions(options: readonly string[], field: string): readonly string[] {
  for (const [index, option] of options.entries()) {
    if (!bindOptions.has(option)) throw invalidField(`${field}[${index}]`, `"${option}" is not one of ${[...bindOptions].join(', ')}`);
  }
  return options;
}

/** The root's propagation must let through what a mount wants to see or to show. */
export function rootPropagation(requested: readonly Mount__Output[]): string {
  if (requested.some(({ propagation }) => propagation === 'PROPAGATION_BIDIRECTIONAL')) return 'rshared';
  return requested.some(({ propagation }) => propagation === 'PROPAGATION_HOST_TO_CONTAINER') ? 'rslave' : 'rprivate';
}
