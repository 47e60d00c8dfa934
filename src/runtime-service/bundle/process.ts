import type { ImageRunConfig } from '../../image-service/images.ts';
import type { LinuxContainerSecurityContext__Output } from '../../cri-server/generated/runtime/v1/LinuxContainerSecurityContext.ts';
import { invalidField } from '../../errors/catalogue.ts';
import type { StoredContainerConfig } from '../../state/container.ts';

const defaultPath = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * The command line: CRI `command` replaces the image's entrypoint and, when given, its cmd too; CRI
 * `args` replaces the image's cmd (image-spec config.md, and the CRI's ContainerConfig). Throws
 * INVALID_FIELD when nothing is left.
 */
export function processArgs(config: StoredContainerConfig, image: ImageRunConfig): string[] {
  const command = config.command.length > 0 ? config.command : image.entrypoint;
  const keepCmd = config.command.length === 0 && config.args.length === 0;
  const args = [...command, ...(keepCmd ? image.cmd : config.args)];
  if (args.length === 0) throw invalidField('config.command', 'is empty, and the image names no entrypoint and no command');
  return args;
}

/** The environment: defaults, then the image's, the request's, and that of its CDI devices; of one name the last counts. */
export function processEnv(config: StoredContainerConfig, image: ImageRunConfig, hostname: string, fromDevices: readonly string[] = []): string[] {
  const given = [
    defaultPath,
    `HOSTNAME=${hostname}`,
    ...(config.tty ? ['TERM=xterm'] : []),
    ...image.env,
    ...config.envs.map(({ key, value }) => `${key}=${value}`),
    ...fromDevices,
  ];
  const byName = new Map<string, string>();
  for (const entry of given) byName.set(entry.split('=', 1)[0] ?? entry, entry);
  return [...byName.values()];
}

export function workingDirectory(config: StoredContainerConfig, image: ImageRunConfig): string {
  const directory = config.working_dir || image.workingDir || '/';
  if (!directory.startsWith('/')) throw invalidField('config.working_dir', `"${directory}" is not an absolute path`);
  return directory;
}

/** `user` of berth.json (docs/shim-protocol.md): resolved by the shim inside the container's root. */
export interface BundleUser {
  readonly spec: string;
  /** -1: none given. */
  readonly group: number;
  readonly supplementalGroups: readonly number[];
  readonly policy: 'merge' | 'strict';
}

/** Ids go to 2^32 - 2; the last value means "no change" to the kernel (setresuid(2)). */
const maxId = 0xffff_fffen;

/**
 * Throws INVALID_FIELD for ids out of range (CVE-2024-40635) and for a group without a user. `extraGroups` are
 * those that CDI devices bring; 0 is none of them, as no device may make its users root's group.
 */
export function bundleUser(
  security: LinuxContainerSecurityContext__Output | null,
  image: ImageRunConfig,
  extraGroups: readonly number[] = [],
): BundleUser {
  const field = 'config.linux.security_context';
  const uid = security?.run_as_user ?? null;
  const gid = security?.run_as_group ?? null;
  const username = security?.run_as_username ?? '';
  if (gid !== null && uid === null && username === '') {
    throw invalidField(`${field}.run_as_group`, 'needs run_as_user or run_as_username');
  }
  // The shim would take what follows a colon for a group.
  if (username.includes(':')) throw invalidField(`${field}.run_as_username`, `"${username}" holds a colon`);
  if (uid !== null && username !== '') throw invalidField(`${field}.run_as_username`, 'excludes run_as_user');
  return {
    spec: uid !== null ? String(checkedId(uid.value, `${field}.run_as_user`)) : username || image.user,
    group: gid === null ? -1 : checkedId(gid.value, `${field}.run_as_group`),
    supplementalGroups: [
      ...(security?.supplemental_groups ?? []).map((group, index) => checkedId(group, `${field}.supplemental_groups[${index}]`)),
      ...extraGroups.filter((group) => group !== 0),
    ],
    policy: groupsPolicy(security, `${field}.supplemental_groups_policy`),
  };
}

function groupsPolicy(security: LinuxContainerSecurityContext__Output | null, field: string): BundleUser['policy'] {
  const policy = security?.supplemental_groups_policy ?? 'Merge';
  if (policy === 'Merge') return 'merge';
  if (policy === 'Strict') return 'strict';
  throw invalidField(field, `${String(policy)} is no policy: Merge or Strict`);
}

/** The ids of a user that is named by numbers; 0 for what only the image's files know. */
export function numericOwner({ spec, group }: BundleUser): { readonly uid: number; readonly gid: number } {
  const [, uid = '0', gid = '0'] = /^(\d{1,10})(?::(\d{1,10}))?$/.exec(spec) ?? [];
  return { uid: Number(uid), gid: group >= 0 ? group : Number(gid) };
}

function checkedId(text: string, field: string): number {
  const id = BigInt(text);
  if (id < 0n || id > maxId) throw invalidField(field, `${text} is not between 0 and ${maxId}`);
  return Number(id);
}
