import { basename, dirname } from 'node:path';

/**
 * Names of systemd's units and the directories that systemd gives them (systemd.slice(5), systemd.scope(5)).
 *
 *   berth.slice/berth-podID.slice/cri-berth-ID.scope/container     a container's processes and limits
 *   berth.slice/berth-podID.slice/cri-berth-ID.scope/hold          what keeps the scope from ending
 */

/** The slice of pods for which nobody names one. */
export const berthSlice = 'berth.slice';

/** The directory of a scope in which Berth does as it likes. */
export const scopeLeaf = 'container';

/** The directory of the process that keeps a scope alive. */
export const holdLeaf = 'hold';

/** Characters of a unit's name (systemd.unit(5)); the dash of a slice separates its levels. */
const sliceName = /^[A-Za-z0-9:_.\\]+(-[A-Za-z0-9:_.\\]+)*\.slice$/;

/**
 * The directory, relative to the mount, of a slice that is named (a-b.slice is a.slice/a-b.slice) or given
 * as that very path. Undefined when it is neither.
 */
export function sliceDirectory(parent: string): string | undefined {
  const name = basename(parent);
  if (!sliceName.test(name)) return undefined;
  const levels = name.slice(0, -'.slice'.length).split('-');
  const directory = levels.map((_, index) => `${levels.slice(0, index + 1).join('-')}.slice`).join('/');
  return parent === name || parent.replace(/^\//, '') === directory ? directory : undefined;
}

/** The slice of a pod's own; the dash puts it below berth.slice. */
export function podSlice(sandboxId: string): string {
  return `berth-pod${sandboxId}.slice`;
}

export function containerScope(containerId: string): string {
  return `cri-berth-${containerId}.scope`;
}

export function reaperScope(sandboxId: string): string {
  return `cri-berth-reaper-${sandboxId}.scope`;
}

export interface ScopeUnit {
  readonly kind: 'scope';
  readonly name: string;
  readonly slice: string;
  /** Of the scope itself; the one that was asked about is its leaf. */
  readonly directory: string;
}

/** What a directory is to systemd. */
export type UnitOf = { readonly kind: 'slice'; readonly name: string } | ScopeUnit;

/** The unit to which a directory belongs; undefined for one that systemd knows nothing of. */
export function unitOf(directory: string): UnitOf | undefined {
  const name = basename(directory);
  if (sliceName.test(name)) return { kind: 'slice', name };
  const scope = dirname(directory);
  const slice = basename(dirname(scope));
  if (name !== scopeLeaf || !scope.endsWith('.scope') || !sliceName.test(slice)) return undefined;
  return { kind: 'scope', name: basename(scope), slice, directory: scope };
}
