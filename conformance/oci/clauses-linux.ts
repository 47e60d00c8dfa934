/** The clauses of config-linux.md. */

import { readlinkSync } from 'node:fs';
import { both, gives, linux, mount, process, refuses } from './clause.ts';
import type { Change, Clause } from './clause.ts';

const namespaceTypes = { pid: 'pid', network: 'net', ipc: 'ipc', uts: 'uts', mount: 'mnt', cgroup: 'cgroup' } as const;

const isHosts = (file: string) => `test "$(readlink /proc/self/ns/${file})" = "${readlinkSync(`/proc/self/ns/${file}`)}"; echo $?`;

const leaveOut = (type: string): Change => (config) => {
  config.linux.namespaces = config.linux.namespaces.filter((namespace) => namespace.type !== type);
  if (type === 'uts') delete config['hostname'];
  if (type === 'network') config.mounts = config.mounts.filter(({ destination }) => destination !== '/sys');
  if (type === 'ipc') config.mounts = config.mounts.filter(({ destination }) => destination !== '/dev/mqueue');
};

const join = (type: string, path: string): Change => (config) => {
  leaveOut(type)(config, { directory: '', shared: '', close: () => undefined });
  config.linux.namespaces.push({ type, path });
};

const namespaces: Clause[] = [
  ...Object.entries(namespaceTypes).map(([type, file]) => gives('config-linux.md namespaces', `a new ${type} namespace`, isHosts(file), '1\n')),
  ...Object.entries(namespaceTypes).filter(([type]) => type !== 'mount').map(([type, file]) => gives('config-linux.md namespaces', `the runtime's ${type} namespace where none is named`, isHosts(file), '0\n', leaveOut(type))),
  gives('config-linux.md namespaces.path', 'the namespace of a file', isHosts('net'), '0\n', join('network', '/proc/self/ns/net')),
  refuses('config-linux.md namespaces.path', 'must be of the type', /namespace/, join('network', '/proc/self/ns/uts')),
  refuses('config-linux.md namespaces.path', 'must be absolute', /namespaces\[5\]\.path: must be an absolute path/, join('network', 'ns/net')),
  refuses('config-linux.md namespaces', 'one type twice', /appears twice/, (config) => void config.linux.namespaces.push({ type: 'pid' })),
  refuses('config-linux.md namespaces', 'a type that Linux does not have', /namespaces\[6\]\.type/, (config) => void config.linux.namespaces.push({ type: 'dreams' })),
  refuses('config-linux.md timeOffsets', 'cannot be had: an error', /linux\.timeOffsets: not supported/, linux({ timeOffsets: { boottime: { secs: 1 } } })),
];

const node = (path: string) => `stat -c "%n %F %a %u:%g %t:%T" ${path}`;

const devices: Clause[] = [
  gives('config-linux.md default devices', 'are there', 'cd /dev; for d in null zero full random urandom tty; do stat -c "%n %t:%T" $d; done', 'null 1:3\nzero 1:5\nfull 1:7\nrandom 1:8\nurandom 1:9\ntty 5:0\n'),
  gives('config-linux.md default devices', '/dev/ptmx is the container\'s own', 'readlink /dev/ptmx; test -c /dev/pts/ptmx; echo $?', 'pts/ptmx\n0\n'),
  gives('config-linux.md default devices', 'can be used', 'echo x > /dev/null && dd if=/dev/zero bs=1 count=1 2>/dev/null | wc -c', /^(1\n)?$/),
  gives('config-linux.md devices', 'a character device, with owner and mode', node('/dev/extra'), '/dev/extra character special file 640 1000:5 1:7\n', linux({ devices: [{ path: '/dev/extra', type: 'c', major: 1, minor: 7, fileMode: 0o640, uid: 1000, gid: 5 }] })),
  gives('config-linux.md devices', 'a block device', node('/dev/disk'), '/dev/disk block special file 660 0:0 7:9\n', linux({ devices: [{ path: '/dev/disk', type: 'b', major: 7, minor: 9, fileMode: 0o660, uid: 0, gid: 0 }] })),
  gives('config-linux.md devices', 'a pipe', node('/dev/pipe'), /^\/dev\/pipe fifo 600 /, linux({ devices: [{ path: '/dev/pipe', type: 'p', fileMode: 0o600 }] })),
  refuses('config-linux.md devices.type', 'must be one', /devices\[0\]\.type/, linux({ devices: [{ path: '/dev/x', type: 'x', major: 1, minor: 1 }] })),
  refuses('config-linux.md devices.path', 'must be absolute', /devices\[0\]\.path/, linux({ devices: [{ path: 'x', type: 'c', major: 1, minor: 1 }] })),
  gives('runtime-linux.md dev symbolic links', '/dev/fd, stdin, stdout, stderr', 'cd /dev; for l in fd stdin stdout stderr; do readlink $l; done', '/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2\n'),
];

const rules = (...entries: object[]) => linux({ resources: { devices: entries } });

const cgroups: Clause[] = [
  gives('config-linux.md resources.devices', 'what no rule allows is denied', 'mknod /dev/kmsg2 c 1 11 && cat /dev/kmsg2 2>/dev/null | head -c 1; test -r /dev/kmsg2; dd if=/dev/kmsg2 of=/dev/null count=1 2>/dev/null; echo $?', '1\n',
    both(rules({ allow: false, access: 'rwm' }), process({ capabilities: { bounding: ['CAP_MKNOD'], effective: ['CAP_MKNOD'], permitted: ['CAP_MKNOD'] } }))),
  gives('config-linux.md resources.devices', 'a later rule wins', 'dd if=/dev/five of=/dev/null count=1 2>/dev/null; echo $?', '0\n',
    both(rules({ allow: false, access: 'rwm' }, { allow: true, type: 'c', major: 1, minor: 5, access: 'r' }), linux({ devices: [{ path: '/dev/five', type: 'c', major: 1, minor: 5, fileMode: 0o666 }] }))),
  refuses('config-linux.md resources.devices', 'access is of r, w and m', /resources\.devices\[0\]\.access/, rules({ allow: true, access: 'x' })),
];

const sysctl = (entries: Record<string, string>) => linux({ sysctl: entries });

const kernel: Clause[] = [
  gives('config-linux.md sysctl', 'is set', 'cat /proc/sys/net/ipv4/ip_unprivileged_port_start', '99\n', sysctl({ 'net.ipv4.ip_unprivileged_port_start': '99' })),
  refuses('config-linux.md sysctl', 'one that would change the host', /sysctl/, sysctl({ 'vm.swappiness': '1' })),
  gives('config-linux.md rootfsPropagation', 'slave', 'grep " / / \\| / " /proc/self/mountinfo | head -n 1 | grep -c master', '1\n', linux({ rootfsPropagation: 'slave' })),
  gives('config-linux.md rootfsPropagation', 'private', 'grep -E "^[0-9]+ [0-9]+ [0-9:]+ [^ ]+ / " /proc/self/mountinfo | grep -cE "master|shared"', '0\n', linux({ rootfsPropagation: 'private' })),
  refuses('config-linux.md rootfsPropagation', 'must be one', /rootfsPropagation/, linux({ rootfsPropagation: 'sideways' })),
  gives('config-linux.md maskedPaths', 'a file reads as empty', 'cat /etc/group', '', linux({ maskedPaths: ['/etc/group'] })),
  gives('config-linux.md maskedPaths', 'a directory is empty', 'ls -A /etc; test -d /etc; echo $?', '0\n', linux({ maskedPaths: ['/etc'] })),
  gives('config-linux.md maskedPaths', 'one that is not there is passed over', 'echo ran', 'ran\n', linux({ maskedPaths: ['/not/there'] })),
  refuses('config-linux.md maskedPaths', 'must be absolute', /maskedPaths/, linux({ maskedPaths: ['proc/kcore'] })),
  gives('config-linux.md readonlyPaths', 'cannot be written', 'touch /etc/x 2>/dev/null; echo $?', '1\n', linux({ readonlyPaths: ['/etc'] })),
  gives('config-linux.md readonlyPaths', 'one that is not there is passed over', 'echo ran', 'ran\n', linux({ readonlyPaths: ['/not/there'] })),
  refuses('config-linux.md mountLabel', 'cannot be had: an error', /linux\.mountLabel: not supported/, linux({ mountLabel: 'system_u:object_r:svirt_sandbox_file_t:s0' })),
  refuses('config-linux.md personality', 'cannot be had: an error', /linux\.personality: not supported/, linux({ personality: { domain: 'LINUX32' } })),
  refuses('config-linux.md intelRdt', 'cannot be had: an error', /linux\.intelRdt: not supported/, linux({ intelRdt: { closID: 'x' } })),
  gives('runtime-linux.md file descriptors', 'none but the standard three', 'ls /proc/$$/fd; true', '0\n1\n2\n'),
  gives('config-linux.md default filesystems', 'mounted as listed', 'for m in /proc /sys /dev/pts /dev/shm; do grep " $m " /proc/self/mountinfo | grep -oE -- "- [a-z]+" | head -n 1; done', '- proc\n- sysfs\n- devpts\n- tmpfs\n'),
  gives('config-linux.md mounts of cgroups', 'the container\'s own', 'test -f /sys/fs/cgroup/cgroup.procs; echo $?', '0\n', mount('/sys/fs/cgroup', 'cgroup', 'cgroup', 'ro')),
];

const seccomp = (members: Record<string, unknown>) => linux({ seccomp: { defaultAction: 'SCMP_ACT_ALLOW', ...members } });
const chmod = (members: Record<string, unknown>) => seccomp({ syscalls: [{ names: ['chmod', 'fchmodat', 'fchmodat2'], action: 'SCMP_ACT_ERRNO', ...members }] });
const tryIt = 'chmod 700 /tmp 2>&1; true';

const filters: Clause[] = [
  gives('config-linux.md seccomp', 'filters', 'grep -E "^Seccomp:" /proc/self/status | while read a b; do echo $b; done', '2\n', seccomp({})),
  gives('config-linux.md seccomp.syscalls', 'denies with EPERM by default', tryIt, /Operation not permitted/, chmod({})),
  gives('config-linux.md seccomp.syscalls.errnoRet', 'denies with another', tryIt, /Resource temporarily unavailable/, chmod({ errnoRet: 11 })),
  gives('config-linux.md seccomp.syscalls.action', 'SCMP_ACT_KILL_PROCESS', '(chmod 700 /tmp; true) 2>/dev/null; chmod 700 /tmp 2>/dev/null; echo $?', '159\n', chmod({ action: 'SCMP_ACT_KILL_PROCESS' })),
  gives('config-linux.md seccomp.syscalls.action', 'SCMP_ACT_TRAP', '(chmod 700 /tmp; true) 2>/dev/null; chmod 700 /tmp 2>/dev/null; echo $?', '159\n', chmod({ action: 'SCMP_ACT_TRAP' })),
  gives('config-linux.md seccomp.syscalls.action', 'SCMP_ACT_LOG', `${tryIt}; echo $?`, '0\n', chmod({ action: 'SCMP_ACT_LOG' })),
  gives('config-linux.md seccomp.syscalls.args', 'only with certain arguments', 'chmod 700 /tmp 2>/dev/null; echo $?; chmod 711 /tmp; echo $?', '1\n0\n',
    seccomp({ syscalls: [{ names: ['chmod'], action: 'SCMP_ACT_ERRNO', args: [{ index: 1, value: 0o700, op: 'SCMP_CMP_EQ' }] }, { names: ['fchmodat'], action: 'SCMP_ACT_ERRNO', args: [{ index: 2, value: 0o700, op: 'SCMP_CMP_EQ' }] }] })),
  refuses('config-linux.md seccomp.syscalls.args', 'an operator that is none', /syscalls\[0\]\.args\[0\]\.op/, chmod({ args: [{ index: 0, value: 1, op: 'SCMP_CMP_LIKE' }] })),
  refuses('config-linux.md seccomp.syscalls.errnoRet', 'with an action that returns none', /syscalls\[0\]\.errnoRet/, chmod({ action: 'SCMP_ACT_TRAP', errnoRet: 1 })),
  refuses('config-linux.md seccomp.defaultAction', 'is required', /defaultAction: missing/, seccomp({ defaultAction: undefined })),
  refuses('config-linux.md seccomp.defaultErrnoRet', 'with an action that returns none', /defaultErrnoRet/, seccomp({ defaultErrnoRet: 1 })),
  refuses('config-linux.md seccomp.architectures', 'one that is none', /architectures/, seccomp({ architectures: ['SCMP_ARCH_Z80'] })),
  refuses('config-linux.md seccomp.flags', 'one that is none', /flags/, seccomp({ flags: ['SECCOMP_FILTER_FLAG_X'] })),
  refuses('config-linux.md seccomp.listenerPath', 'cannot be had: an error', /listenerPath/, seccomp({ listenerPath: '/run/agent.sock' })),
];

export const linuxClauses: readonly Clause[] = [...namespaces, ...devices, ...cgroups, ...kernel, ...filters];
