import { annotatedDevices } from '../../cdi/annotations.ts';
import type { DeviceRequest } from '../../cdi/catalogue.ts';
import { hookNames } from '../../cdi/edits.ts';
import type { CdiHook, CdiMount, HookName } from '../../cdi/edits.ts';
import type { StoredContainerConfig } from '../../state/container.ts';
import type { OciMount } from './oci-mount.ts';

/** The CDI devices of a container: those of the CRI's own field, then those of its annotations. */
export function requestedCdiDevices(config: Pick<StoredContainerConfig, 'CDI_devices' | 'annotations'>): DeviceRequest[] {
  return [
    ...config.CDI_devices.map(({ name }, index) => ({ name, field: `config.CDI_devices[${index}].name` })),
    ...annotatedDevices(config.annotations, 'config.annotations'),
  ];
}

/** A mount of a CDI spec takes the place of another at the same destination. Parents stay before children. */
export function withCdiMounts(mounts: readonly OciMount[], added: readonly CdiMount[]): OciMount[] {
  const byDestination = new Map(mounts.map((mount) => [mount.destination, mount]));
  for (const mount of added.map(toOci)) {
    byDestination.delete(mount.destination);
    byDestination.set(mount.destination, mount);
  }
  const depth = ({ destination }: OciMount) => destination.split('/').filter((part) => part !== '').length;
  return [...byDestination.values()].toSorted((a, b) => depth(a) - depth(b));
}

/** One of the OCI runtime spec's `hooks`. */
export interface OciHook {
  readonly path: string;
  readonly args?: readonly string[];
  readonly env?: readonly string[];
  /** Seconds. */
  readonly timeout?: number;
}

/** `hooks` of config.json, each stage in the order of the specs; nothing where there are none. */
export function ociHooks(hooks: readonly CdiHook[]): { readonly hooks?: Partial<Record<HookName, readonly OciHook[]>> } {
  if (hooks.length === 0) return {};
  const stages = hookNames.map((name) => [name, hooks.filter(({ hookName }) => hookName === name).map(toOciHook)] as const);
  return { hooks: Object.fromEntries(stages.filter(([, list]) => list.length > 0)) };
}

function toOciHook({ path, args, env, timeout }: CdiHook): OciHook {
  return {
    path,
    ...(args.length === 0 ? {} : { args }),
    ...(env.length === 0 ? {} : { env }),
    ...(timeout === undefined ? {} : { timeout }),
  };
}

/** Without a type it can only be a bind: every mount of a CDI spec has a path on the node. */
function toOci({ hostPath, containerPath, type, options }: CdiMount): OciMount {
  const isBind = options.some((option) => option === 'bind' || option === 'rbind');
  return {
    destination: containerPath,
    type: type === '' ? 'bind' : type,
    source: hostPath,
    options: isBind || type !== '' ? options : ['bind', ...options],
  };
}
