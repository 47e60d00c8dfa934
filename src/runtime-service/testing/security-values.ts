/**
 * Values for every field of the messages that decide how a pod is confined: good ones, hostile ones, and those of
 * which a node decides. Messages and fields are the contract's, so a test can see that none was forgotten.
 */

export interface FieldValues {
  /** Alone in an otherwise plain request it is honoured. */
  readonly fine?: readonly unknown[];
  /** Is refused as INVALID_ARGUMENT, by the field's name. */
  readonly refused?: readonly unknown[];
  /** Is honoured or refused, depending on what else is there. */
  readonly open?: readonly unknown[];
}

const long = (length: number): string => 'a'.repeat(length);
const badIds = ['-1', '4294967295', '4294967296', '18446744069414584320', '9223372036854775807', '-9223372036854775808'].filter((id) => BigInt(id) < 2n ** 63n);
const flag: FieldValues = { fine: [false, true] };
const unknownEnum = [99, -1, 2_147_483_647];
const nul = 'a\0b';
const badPaths = ['', 'relative', '../up', './here', nul, `/${nul}`, `/${long(256)}`, '/a'.repeat(2100)];
const oddPaths = ['/proc/self/fd/7', '/proc/1/root/etc', '/a/../../../etc', '//', '/./x', '/dev/null', '/proc/self/exe', '/\u{1F600}', '/a b\n', '/sys/../proc/sys'];
const groups = (count: number): string[] => Array.from({ length: count }, (_, index) => String(5000 + index));

const ids: FieldValues = { fine: [null, { value: '0' }, { value: '1000' }, { value: '4294967294' }], refused: badIds.map((value) => ({ value })) };
const groupList: FieldValues = {
  fine: [[], ['0'], ['3000', '3000'], ['4294967294'], groups(255)],
  refused: badIds.map((id) => ['1', id]),
};
const mode: FieldValues = { fine: ['POD'], refused: unknownEnum, open: ['NODE', 'CONTAINER', 'TARGET'] };
const hidden: FieldValues = { fine: [[], ['/proc/keys'], ['/proc/keys', '/proc/keys'], ['/none'], ['/proc/../proc/keys']], refused: badPaths.map((path) => ['/proc/keys', path]), open: oddPaths.map((path) => [path]) };
const capabilities: FieldValues = {
  fine: [[], ['CHOWN'], ['CAP_CHOWN'], ['cap_kill', 'KILL'], ['ALL']],
  refused: [[''], ['NOPE'], ['CAP_'], ['CAP_CAP_KILL'], ['KILL', 'KILL '], [nul], [long(5000)], ['0'], ['-1']],
};
const profile: FieldValues = { fine: [null], open: [{ profile_type: 'Unconfined', localhost_ref: '' }, { profile_type: 'RuntimeDefault', localhost_ref: '' }, { profile_type: 'Localhost', localhost_ref: '../../etc/shadow' }, { profile_type: 'Localhost', localhost_ref: '' }] };
const mapping: FieldValues = { open: [[], [{ host_id: 0, container_id: 0, length: 0 }], [{ host_id: 4_294_967_295, container_id: 4_294_967_295, length: 4_294_967_295 }], [{ host_id: 1, container_id: 0, length: 1 }, { host_id: 1, container_id: 0, length: 1 }]] };
const anyNumber: FieldValues = { open: [0, 1, 65_536, 2_147_483_648, 4_294_967_295] };
const label: FieldValues = { fine: ['', 'system_u', 'spc_t'], refused: ['a:b', 'a b', '../x', nul, long(256)] };

const capabilityLists: Readonly<Record<string, FieldValues>> = {
  add_capabilities: capabilities,
  drop_capabilities: capabilities,
  add_ambient_capabilities: capabilities,
};

/** Message → field → values. */
export const securityValues: Readonly<Record<string, Readonly<Record<string, FieldValues>>>> = {
  Capability: capabilityLists,
  SELinuxOption: { user: label, role: label, type: label, level: { fine: ['', 's0', 's0:c1,c2'], refused: ['s 0', '/x', nul, long(256)] } },
  SecurityProfile: { profile_type: { refused: unknownEnum, open: ['RuntimeDefault', 'Unconfined', 'Localhost'] }, localhost_ref: { refused: [nul], open: ['', '/etc/shadow', '../x', long(5000)] } },
  IDMapping: { host_id: anyNumber, container_id: anyNumber, length: anyNumber },
  UserNamespace: { mode: { fine: ['NODE'], refused: unknownEnum, open: ['POD', 'CONTAINER', 'TARGET'] }, uids: mapping, gids: mapping },
  NamespaceOption: { network: mode, pid: mode, ipc: mode, target_id: { fine: [''], refused: [nul], open: ['x', '../x', long(5000)] }, userns_options: { fine: [null], open: [{ mode: 'POD', uids: [], gids: [] }] } },
  LinuxContainerSecurityContext: {
    capabilities: { fine: [null] },
    privileged: { fine: [false], refused: [true] },
    namespace_options: { fine: [null] },
    selinux_options: { fine: [null] },
    run_as_user: ids,
    run_as_username: { fine: [''], refused: ['root:root', nul, long(256)], open: ['root', 'nobody', '-1', '4294967296', '../../etc/passwd', 'a\nb', ' '] },
    readonly_rootfs: flag,
    supplemental_groups: { ...groupList, refused: [...(groupList.refused ?? []), groups(256)] },
    apparmor_profile: { fine: [''], refused: [nul], open: ['localhost/none', 'runtime/default', 'unconfined', 'nonsense', '../x'] },
    seccomp_profile_path: { fine: ['', 'unconfined'], refused: [nul], open: ['localhost/../../etc/shadow', 'nonsense', 'runtime/default'] },
    no_new_privs: flag,
    run_as_group: { fine: [null], refused: [{ value: '0' }, { value: '1000' }, ...badIds.map((value) => ({ value }))] },
    masked_paths: hidden,
    readonly_paths: hidden,
    seccomp: profile,
    apparmor: profile,
    supplemental_groups_policy: { fine: ['Merge', 'Strict'], refused: unknownEnum },
  },
  LinuxSandboxSecurityContext: {
    namespace_options: { fine: [null] },
    selinux_options: { fine: [null] },
    run_as_user: ids,
    readonly_rootfs: flag,
    supplemental_groups: groupList,
    privileged: flag,
    seccomp_profile_path: { fine: [''], refused: [nul], open: ['localhost/../../etc/shadow', 'nonsense'] },
    run_as_group: { fine: [null], refused: [{ value: '1000' }, ...badIds.map((value) => ({ value }))] },
    seccomp: profile,
    apparmor: profile,
    supplemental_groups_policy: { fine: ['Merge', 'Strict'], refused: unknownEnum },
  },
  LinuxPodSandboxConfig: {
    cgroup_parent: { fine: [''], refused: ['/a/../../b', '..', 'x.slice', nul], open: ['/', '/a//b', long(5000), '/a\nb'] },
    security_context: { fine: [null] },
    sysctls: {
      fine: [{}, { 'net.ipv4.ip_forward': '1' }, { 'kernel.shm_rmid_forced': '1' }],
      refused: [
        { 'kernel.core_pattern': '|/bin/sh' }, { 'vm.swappiness': '1' }, { 'net.ipv4.ip_forward': '1\nkernel.core_pattern=|/x' }, { 'net/../kernel/core_pattern': 'x' },
        { 'net.ipv4..ip_forward': '1' }, { '': '1' }, { 'net.': '1' }, { [nul]: '1' }, { 'net.ipv4.ip_forward': nul }, { 'kernel.shm_rmid_forced+kernel.core_pattern': '1' },
      ],
      open: [{ 'net.ipv4.no_such_thing': '1' }, { [`net.${long(5000)}`]: '1' }, { 'net.ipv4.ip_forward': long(5000) }],
    },
    overhead: { fine: [null] },
    resources: { fine: [null] },
  },
  Mount: {
    container_path: { fine: ['/data', '/data/', '/data/../other', '/etc/hosts', '/new/deep/place'], refused: ['', 'relative', '/', '/..', '/../..', '/.', nul, `/${long(256)}`, '/a'.repeat(2100)], open: oddPaths },
    host_path: { fine: ['/etc', '/etc/../etc', '/tmp/'], refused: ['', 'relative', '../up', nul, `/${long(256)}`, '/a'.repeat(2100)], open: ['/none/such', '/proc/self/fd/7', '/dev/null'] },
    readonly: flag,
    selinux_relabel: flag,
    propagation: { fine: ['PROPAGATION_PRIVATE'], refused: unknownEnum, open: ['PROPAGATION_HOST_TO_CONTAINER', 'PROPAGATION_BIDIRECTIONAL'] },
    uidMappings: mapping,
    gidMappings: mapping,
    recursive_read_only: { fine: [false], refused: [true] },
    image: { fine: [null], open: [{ image: 'none:such', annotations: {}, user_specified_image: '', runtime_handler: '', image_ref: '' }] },
    image_sub_path: { fine: [''], refused: [nul], open: ['../..', '/abs', long(5000)] },
    mount_options: { fine: [[]], refused: [[nul]], open: [['ro'], ['nonsense'], ['bind,remount'], ['noexec', 'noexec'], ['lowerdir=/'], ['']] },
  },
  Device: {
    container_path: { fine: ['', '/dev/x', '/dev/./x', '/new/x'], refused: ['relative', '..', '/', '/..', nul, `/${long(256)}`, '/a'.repeat(2100)], open: oddPaths },
    host_path: { fine: ['/dev/null', '/dev/../dev/zero'], refused: ['', 'dev/null', '/etc/hostname', '/none/such', nul, '/etc', '/', long(5000)], open: ['/proc/self/fd/0'] },
    permissions: { fine: ['', 'r', 'rwm', 'mwr'], refused: ['x', 'rr', 'rwmr', ' ', 'R', nul, long(5000)] },
  },
  CDIDevice: { name: { refused: ['', 'gpu', 'a/b=c', '/dev/null', '../b=c', 'a/b=', nul, long(5000), 'a/b=c,a/b=d'] } },
};
