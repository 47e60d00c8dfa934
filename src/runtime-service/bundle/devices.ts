import { stat } from 'node:fs/promises';
import { posix } from 'node:path';
import type { CdiDeviceNode } from '../../cdi/edits.ts';
import type { Device__Output } from '../../cri-server/generated/runtime/v1/Device.ts';
import { BerthError, invalidField } from '../../errors/catalogue.ts';
import { cdiDevice } from './cdi-device.ts';
import { pathProblem } from './container-path.ts';
import { devicesBelow, toDevice } from './device-nodes.ts';
import type { OciDevice } from './device-nodes.ts';

/** A rule of the device cgroup, in the OCI runtime spec's form. */
export interface OciDeviceRule {
  readonly allow: boolean;
  readonly type?: 'a' | 'c' | 'b';
  readonly major?: number;
  readonly minor?: number;
  readonly access: string;
}

export interface ContainerDevices {
  readonly devices: readonly OciDevice[];
  readonly rules: readonly OciDeviceRule[];
}

export interface DeviceSources {
  readonly requested: readonly Device__Output[];
  /** Of CDI devices; they replace what is requested for the same path. */
  readonly cdiNodes: readonly CdiDeviceNode[];
  /** All devices of the node, and access to every device there may be. */
  readonly allOfNode: boolean;
  /** Owner of CDI nodes whose spec names none. */
  readonly owner: { readonly uid: number; readonly gid: number };
}

/** The nodes of the OCI runtime spec's default devices, with pseudo-terminals: c major:minor. */
const defaultRules: readonly (readonly [number, number | undefined])[] = [
  [1, 3], [1, 5], [1, 7], [1, 8], [1, 9], [5, 0], [5, 1], [5, 2], [136, undefined],
];

/**
 * The devices of a container. What is not listed is denied by the rules, except making nodes, which grants
 * nothing by itself. Throws INVALID_FIELD naming the request's field.
 */
export async function containerDevices(sources: DeviceSources): Promise<ContainerDevices> {
  const byPath = new Map<string, OciDevice>();
  const rules: OciDeviceRule[] = [];
  if (sources.allOfNode) for (const node of await devicesBelow('/dev', '/dev')) byPath.set(node.path, node);
  const add = (node: OciDevice, access: string): void => {
    byPath.set(node.path, node);
    if (node.type !== 'p') rules.push({ allow: true, type: node.type, major: node.major, minor: node.minor, access });
  };
  for (const [index, device] of sources.requested.entries()) {
    const field = `config.devices[${index}]`;
    const access = checkedPermissions(device.permissions, `${field}.permissions`);
    for (const node of await devicesAt(device, field)) add(node, access);
  }
  for (const node of sources.cdiNodes) add(await cdiDevice(node, sources.owner), node.permissions === '' ? 'rwm' : uniqueLetters(node.permissions));
  return { devices: [...byPath.values()], rules: sources.allOfNode ? [{ allow: true, access: 'rwm' }] : [...standardRules(), ...rules] };
}

function standardRules(): OciDeviceRule[] {
  return [
    { allow: false, access: 'rwm' },
    { allow: true, type: 'c', access: 'm' },
    { allow: true, type: 'b', access: 'm' },
    ...defaultRules.map(([major, minor]) => ({ allow: true, type: 'c' as const, major, ...(minor === undefined ? {} : { minor }), access: 'rwm' })),
  ];
}

function checkedPermissions(permissions: string, field: string): string {
  if (permissions === '') return 'rwm';
  if (!/^(?!.*(.).*\1)[rwm]{1,3}$/s.test(permissions)) throw invalidField(field, `"${permissions}" is not made of r, w and m, each at most once`);
  return permissions;
}

function uniqueLetters(permissions: string): string {
  return [...new Set(permissions)].join('');
}

async function devicesAt(device: Device__Output, field: string): Promise<OciDevice[]> {
  const [path, source] = device.container_path === '' ? [device.host_path, 'host_path'] : [device.container_path, 'container_path'];
  const target = checkedTarget(path, `${field}.${source}`);
  if (!device.host_path.startsWith('/')) throw invalidField(`${field}.host_path`, `"${device.host_path}" is not an absolute path`);
  const info = await stat(device.host_path).catch((cause: unknown) => {
    throw new BerthError('INVALID_FIELD', `${field}.host_path: device ${device.host_path} cannot be read: ${String(cause)}`, { cause });
  });
  if (info.isDirectory()) {
    const below = await devicesBelow(device.host_path, target).catch((cause: unknown) => {
      throw new BerthError('INVALID_FIELD', `${field}.host_path: the directory ${device.host_path} cannot be searched for devices: ${String(cause)}`, { cause });
    });
    if (below.length === 0) throw invalidField(`${field}.host_path`, `there is no device in the directory ${device.host_path}`);
    return below;
  }
  const node = toDevice(info, target);
  if (node === undefined) throw invalidField(`${field}.host_path`, `${device.host_path} is not a device`);
  return [node];
}

/** The place in the container, without "." and "..": what it is called is where it is. */
function checkedTarget(path: string, field: string): string {
  const problem = pathProblem(path);
  if (problem !== undefined) throw invalidField(field, problem);
  const target = posix.normalize(path).replace(/(?<=.)\/$/, '');
  if (target === '/') throw invalidField(field, 'is the root of the container');
  return target;
}
