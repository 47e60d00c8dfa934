import * as fc from 'fast-check';
import { securityValues } from './security-values.ts';

/** One field of a request given one value. */
export interface Mutation {
  /** From the request: ["config", "linux", "security_context", "run_as_user"]. */
  readonly path: readonly string[];
  readonly value: unknown;
  readonly expected: 'fine' | 'refused' | 'open';
}

type Place = readonly [message: string, path: string];

/** Where each message stands in a CreateContainerRequest. */
export const containerPlaces: readonly Place[] = [
  ['LinuxContainerSecurityContext', 'config.linux.security_context'],
  ['Capability', 'config.linux.security_context.capabilities'],
  ['SELinuxOption', 'config.linux.security_context.selinux_options'],
  ['SecurityProfile', 'config.linux.security_context.seccomp'],
  ['SecurityProfile', 'config.linux.security_context.apparmor'],
  ['NamespaceOption', 'config.linux.security_context.namespace_options'],
  ['UserNamespace', 'config.linux.security_context.namespace_options.userns_options'],
  ['IDMapping', 'config.linux.security_context.namespace_options.userns_options.uids.0'],
  ['Mount', 'config.mounts.0'],
  ['IDMapping', 'config.mounts.0.uidMappings.0'],
  ['Device', 'config.devices.0'],
  ['CDIDevice', 'config.CDI_devices.0'],
];

/** Where each message stands in a RunPodSandboxRequest. */
export const podPlaces: readonly Place[] = [
  ['LinuxPodSandboxConfig', 'config.linux'],
  ['LinuxSandboxSecurityContext', 'config.linux.security_context'],
  ['SELinuxOption', 'config.linux.security_context.selinux_options'],
  ['SecurityProfile', 'config.linux.security_context.seccomp'],
  ['NamespaceOption', 'config.linux.security_context.namespace_options'],
  ['UserNamespace', 'config.linux.security_context.namespace_options.userns_options'],
  ['IDMapping', 'config.linux.security_context.namespace_options.userns_options.uids.0'],
];

/** Every field with every value of the table. */
export function allMutations(places: readonly Place[]): Mutation[] {
  return places.flatMap(([message, place]) =>
    Object.entries(securityValues[message] ?? {}).flatMap(([field, values]) =>
      (['fine', 'refused', 'open'] as const).flatMap((expected) =>
        (values[expected] ?? []).map((value) => ({ path: [...place.split('.'), field], value, expected })),
      ),
    ),
  );
}

/** What a message is made of when a mutation is the first to touch it: every field with proto3's default. */
const blanks: Readonly<Record<string, () => unknown>> = {
  capabilities: () => ({ add_capabilities: [], drop_capabilities: [], add_ambient_capabilities: [] }),
  selinux_options: () => ({ user: '', role: '', type: '', level: '' }),
  seccomp: () => ({ profile_type: 'Unconfined', localhost_ref: '' }),
  apparmor: () => ({ profile_type: 'Unconfined', localhost_ref: '' }),
  userns_options: () => ({ mode: 'POD', uids: [], gids: [] }),
  uids: () => [],
  uidMappings: () => [],
  CDI_devices: () => [],
};

/** Items of lists. */
const itemBlanks: Readonly<Record<string, () => unknown>> = {
  mounts: () => ({
    container_path: '/data', host_path: '/etc', readonly: false, selinux_relabel: false, propagation: 'PROPAGATION_PRIVATE', uidMappings: [], gidMappings: [],
    recursive_read_only: false, image: null, image_sub_path: '', mount_options: [],
  }),
  devices: () => ({ container_path: '/dev/given', host_path: '/dev/null', permissions: '' }),
  CDI_devices: () => ({ name: '' }),
  uids: () => ({ host_id: 100_000, container_id: 0, length: 65_536 }),
  uidMappings: () => ({ host_id: 100_000, container_id: 0, length: 65_536 }),
};

/** The request with the mutations made one after the other, but for those of a part that an earlier one took away. */
export function mutate(request: object, mutations: readonly Mutation[]): void {
  for (const { path, value } of mutations) {
    const at = partOf(request as Record<string, unknown>, path);
    if (at !== undefined) at[path.at(-1) ?? ''] = structuredClone(value);
  }
}

/** The message or list that holds the path's last field; made where it is missing and there is a form for it. */
function partOf(request: Record<string, unknown>, path: readonly string[]): Record<string, unknown> | undefined {
  let at = request;
  for (const [depth, key] of path.slice(0, -1).entries()) {
    const made = Array.isArray(at) ? itemBlanks[path[depth - 1] ?? ''] : (blanks[key] ?? (itemBlanks[key] === undefined ? undefined : () => []));
    at[key] ??= made?.() ?? null;
    if (at[key] === null) return undefined;
    at = at[key] as Record<string, unknown>;
  }
  return at;
}

/** A few fields at once, most of them good, some with values that nobody thought of. */
export function someMutations(places: readonly Place[]): fc.Arbitrary<Mutation[]> {
  const all = allMutations(places);
  const good = fc.constantFrom(...all.filter(({ expected }) => expected !== 'refused'));
  const bad = fc.constantFrom(...all.filter(({ expected }) => expected === 'refused'));
  const texts = all.filter(({ value }) => typeof value === 'string');
  const random = fc.tuple(fc.constantFrom(...texts), fc.oneof(fc.string({ unit: 'binary', maxLength: 40 }), fc.string({ maxLength: 40 }).map((text) => `/${text}`)));
  const guessed = random.map(([{ path }, value]): Mutation => ({ path, value, expected: 'open' }));
  return fc.array(fc.oneof({ weight: 6, arbitrary: good }, { weight: 1, arbitrary: bad }, { weight: 1, arbitrary: guessed }), { minLength: 1, maxLength: 6 });
}

/** Names of the fields that mutations touched, one of which a refusal must name; old fields by their successors' names. */
export function touchedFields(mutations: readonly Mutation[]): string[] {
  const successors: Readonly<Record<string, string>> = { seccomp_profile_path: 'seccomp', apparmor_profile: 'apparmor' };
  return mutations.flatMap(({ path }) => path.filter((key) => !/^(config|linux|security_context|\d+)$/.test(key))).map((key) => successors[key] ?? key);
}
