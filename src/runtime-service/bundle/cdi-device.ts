import { lstat } from 'node:fs/promises';
import type { Stats } from 'node:fs';
import type { CdiDeviceNode } from '../../cdi/edits.ts';
import { BerthError } from '../../errors/catalogue.ts';
import { toDevice } from './device-nodes.ts';
import type { OciDevice } from './device-nodes.ts';

/**
 * A device node as a CDI spec describes it. What the spec leaves out is the node's own device's: type, numbers,
 * mode. A spec that gives type and major describes its device wholly, and the node need not have it. Throws
 * HOST_UNSUITABLE when the node has no such device.
 */
export async function cdiDevice(node: CdiDeviceNode, owner: { readonly uid: number; readonly gid: number }): Promise<OciDevice> {
  const complete = node.type === 'p' || (node.type !== undefined && node.major !== 0);
  const found = await onNode(node, complete);
  const { type, major, minor } = complete || found === undefined ? node : found;
  if (type === undefined || (node.type !== undefined && node.type !== type)) {
    throw unsuitable(node, type === undefined ? 'is not a device' : `is of type ${type}, and the CDI spec says ${node.type}`);
  }
  return {
    path: node.path,
    type,
    major: type === 'p' ? 0 : complete || node.major === 0 ? major : node.major,
    minor: type === 'p' ? 0 : complete || node.major === 0 ? minor : node.minor,
    fileMode: node.fileMode ?? found?.fileMode ?? 0o666,
    uid: node.uid ?? owner.uid,
    gid: node.gid ?? owner.gid,
  };
}

/** The node's device, where there is one; it has to be there when the spec is not complete. Links are not followed. */
async function onNode(node: CdiDeviceNode, complete: boolean): Promise<Pick<OciDevice, 'major' | 'minor' | 'fileMode'> & { type: OciDevice['type'] | undefined } | undefined> {
  let info: Stats;
  try {
    info = await lstat(node.hostPath);
  } catch (cause) {
    if (complete) return undefined;
    throw unsuitable(node, `cannot be read: ${String(cause)}`, cause);
  }
  if (info.isFIFO()) return { type: 'p', major: 0, minor: 0, fileMode: info.mode & 0o7777 };
  const device = toDevice(info, node.path);
  if (device !== undefined) return device;
  return complete ? undefined : { type: undefined, major: 0, minor: 0, fileMode: 0 };
}

function unsuitable(node: CdiDeviceNode, problem: string, cause?: unknown): BerthError {
  return new BerthError('HOST_UNSUITABLE', `CDI device node ${node.path}: ${node.hostPath} ${problem}`, { cause });
}
