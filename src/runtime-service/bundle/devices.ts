import type { Stats } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Device__Output } from '../../cri-server/generated/runtime/v1/Device.ts';
import { BerthError, invalidField } from '../../errors/catalogue.ts';

/** A device of the OCI runtime spec. */
export interface OciDevice {
  readonly path: string;
  readonly type: 'c' | 'b';
  readonly major: number;
  readonly minor: number;
  /** Permission bits. */
  readonly fileMode: number;
  readonly uid: number;
  readonly gid: number;
}

/** A rule of the device cgroup, in the OCI runtime spec's form. */
export interface OciDeviceRule {
  readonly allow: boolean;
  readonly type?: 'a' | 'c' | 'b';
  readonly major?: number;
  readonly minor?: number;
  readonly access: string;
}

export interface ContainerDevices {
  readonly devices: OciDevice[];
  readonly rules: OciDeviceRule[];
}

/** The nodes of the OCI runtime spec's default devices, with pseudo-terminals: c major:minor. */
const defaultRules: readonly (readonly [number, number | undefined])[] = [
  [1, 3], [1, 5], [1, 7], [1, 8], [1, 9], [5, 0], [5, 1], [5, 2], [136, undefined],
];

/**
 * The devices of a container: what the request lists, or every device of the node for a privileged
 * one. Everything else is denied by the rules, except making nodes, which grants nothing by itself.
 */
export async function containerDevices(requested: readonly Device__Output[], privileged: boolean): Promise<ContainerDevices> {
  if (privileged) return { devices: await hostDevices('/dev', '/dev'), rules: [{ allow: true, access: 'rwm' }] };
  const rules: OciDeviceRule[] = [
    { allow: false, access: 'rwm' },
    { allow: true, type: 'c', access: 'm' },
    { allow: true, type: 'b', access: 'm' },
    ...defaultRules.map(([major, minor]) => ({ allow: true, type: 'c' as const, major, ...(minor === undefined ? {} : { minor }), access: 'rwm' })),
  ];
  const devices: OciDevice[] = [];
  for (const [index, device] of requested.entries()) {
    const field = `config.devices[${index}]`;
    const access = device.permissions === '' ? 'rwm' : device.permissions;
    if (!/^(?!.*(.).*\1)[rwm]{1,3}$/.test(access)) throw invalidField(`${field}.permissions`, `"${access}" is not made of r, w and m`);
    for (const node of await devicesAt(device, field)) {
      devices.push(node);
      rules.push({ allow: true, type: node.type, major: node.major, minor: node.minor, access });
    }
  }
  return { devices, rules };
}

async function devicesAt(device: Device__Output, field: string): Promise<OciDevice[]> {
  const target = device.container_path === '' ? device.host_path : device.container_path;
  if (!target.startsWith('/')) throw invalidField(`${field}.container_path`, `"${target}" is not an absolute path`);
  const info = await stat(device.host_path).catch((cause: unknown) => {
    throw new BerthError('INVALID_FIELD', `${field}.host_path: device ${device.host_path} cannot be read: ${String(cause)}`, { cause });
  });
  if (info.isDirectory()) return hostDevices(device.host_path, target);
  const node = toDevice(info, target);
  if (node === undefined) throw invalidField(`${field}.host_path`, `${device.host_path} is not a device`);
  return [node];
}

/** Directories below /dev that the container has of its own. */
const ownDirectories: ReadonlySet<string> = new Set(['/dev/pts', '/dev/shm', '/dev/mqueue', '/dev/fd', '/dev/.udev']);

/** Nodes that the container has of its own: a console, and the multiplexer of its own pseudo-terminals. */
const ownNodes: ReadonlySet<string> = new Set(['/dev/console', '/dev/ptmx']);

async function hostDevices(source: string, target: string): Promise<OciDevice[]> {
  if (ownDirectories.has(source)) return [];
  const found: OciDevice[] = [];
  for (const entry of await readdir(source, { withFileTypes: true })) {
    const path = join(source, entry.name);
    if (entry.isDirectory()) found.push(...(await hostDevices(path, join(target, entry.name))));
    if (!entry.isCharacterDevice() && !entry.isBlockDevice()) continue;
    if (ownNodes.has(path)) continue;
    // Devices come and go; one that has gone since the directory was read is none.
    const info = await stat(path).catch(() => undefined);
    const node = info === undefined ? undefined : toDevice(info, join(target, entry.name));
    if (node !== undefined) found.push(node);
  }
  return found;
}

function toDevice(info: Stats, path: string): OciDevice | undefined {
  const type = info.isCharacterDevice() ? 'c' : info.isBlockDevice() ? 'b' : undefined;
  if (type === undefined) return undefined;
  const rdev = BigInt(info.rdev);
  // The kernel's encoding of dev_t towards user space (linux/kdev_t.h, glibc's gnu_dev_major).
  const major = ((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & ~0xfffn);
  const minor = (rdev & 0xffn) | ((rdev >> 12n) & ~0xffn);
  return { path, type, major: Number(major), minor: Number(minor), fileMode: Number(info.mode) & 0o7777, uid: Number(info.uid), gid: Number(info.gid) };
}
