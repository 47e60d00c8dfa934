/** The clauses of config.md. */

import path from 'node:path';
import { both, gives, mount, process, refuses } from './clause.ts';
import type { Clause } from './clause.ts';

const shared = ({ shared: directory }: { readonly shared: string }): string => directory;
const limits = (...rlimits: object[]) => process({ rlimits });
const capabilities = (members: Record<string, string[]>) => process({ capabilities: members });
const field = (name: string) => `grep -E "^${name}:" /proc/self/status | while read a b; do echo $b; done`;

const root: Clause[] = [
  gives('config.md root.path', 'relative to the bundle', 'cat /etc/group | head -n 1', 'root:x:0:\n'),
  gives('config.md root.path', 'absolute', 'cat /etc/group | head -n 1', 'root:x:0:\n', (config, { directory }) => void (config.root.path = path.join(directory, 'root'))),
  refuses('config.md root.path', 'must exist', /rootfs/, (config) => void (config.root.path = 'absent')),
  refuses('config.md root', 'is required', /root\.path: missing/, (config) => void Reflect.deleteProperty(config, 'root')),
  gives('config.md root.readonly', 'true: nothing can be written', 'touch /x 2>/dev/null; echo $?', '1\n', (config) => void (config.root.readonly = true)),
  gives('config.md root.readonly', 'false: it can', 'touch /x; echo $?', '0\n'),
];

const mounts: Clause[] = [
  gives('config.md mounts', 'in the order of the list', 'cat /mnt/file', 'shared\n', both(mount('/mnt', 'tmpfs', 'tmpfs'), mount('/mnt', 'bind', shared, 'rbind'))),
  gives('config.md mounts', 'an earlier one is covered', 'ls /mnt', '', both(mount('/mnt', 'bind', shared, 'rbind'), mount('/mnt', 'tmpfs', 'tmpfs'))),
  gives('config.md mounts.destination', 'made where it is missing', 'cat /new/place/file', 'shared\n', mount('/new/place', 'bind', shared, 'rbind')),
  gives('config.md mounts.source', 'a file', 'cat /mnt-file', 'shared\n', mount('/mnt-file', 'bind', (workshop) => `${shared(workshop)}/file`, 'bind')),
  gives('config.md mounts.source', 'relative to the bundle', 'cat /mnt/etc/group | head -n 1', 'root:x:0:\n', mount('/mnt', 'bind', 'rootfs', 'bind')),
  refuses('config.md mounts.source', 'must exist for a bind mount', /mount \/mnt/, mount('/mnt', 'bind', '/no/such/source', 'bind')),
  refuses('config.md mounts.type', 'must be one of /proc/filesystems', /mount \/mnt/, mount('/mnt', 'no-such-fs', 'none')),
  gives('config.md mounts.options', 'ro', 'touch /mnt/x 2>/dev/null; echo $?', '1\n', mount('/mnt', 'tmpfs', 'tmpfs', 'ro')),
  gives('config.md mounts.options', 'ro for a bind mount, the host\'s stays writable', 'touch /mnt/x 2>/dev/null; echo $?', '1\n', mount('/mnt', 'bind', shared, 'rbind', 'ro')),
  gives('config.md mounts.options', 'noexec', 'echo "#!/bin/sh" > /mnt/x; chmod 755 /mnt/x; /mnt/x 2>/dev/null; echo $?', '126\n', mount('/mnt', 'tmpfs', 'tmpfs', 'noexec')),
  gives('config.md mounts.options', 'nosuid, nodev, noatime', 'grep " /mnt " /proc/self/mountinfo | grep -c "nosuid,nodev,noatime"', '1\n', mount('/mnt', 'tmpfs', 'tmpfs', 'nosuid', 'nodev', 'noatime')),
  gives('config.md mounts.options', 'a later one wins', 'touch /mnt/x; echo $?', '0\n', mount('/mnt', 'tmpfs', 'tmpfs', 'ro', 'rw')),
  gives('config.md mounts.options', 'what the file system understands', 'stat -c %a /mnt', '711\n', mount('/mnt', 'tmpfs', 'tmpfs', 'mode=0711', 'size=64k')),
  refuses('config.md mounts.options', 'what nobody understands', /mount \/mnt/, mount('/mnt', 'tmpfs', 'tmpfs', 'no-such-option')),
  gives('config.md mounts.options', 'rro reaches the mounts below', 'touch /mnt/inner/x 2>/dev/null; echo $?', '1\n', mount('/mnt', 'bind', shared, 'rbind', 'rro')),
  gives('config.md mounts.options', 'rslave, rshared, rprivate', 'for m in a b c; do grep " /$m " /proc/self/mountinfo | grep -oE "(shared|master):" | sort; echo $m; done', /^master:\na\n(master:\n)?shared:\nb\nc\n$/,
    both(mount('/a', 'bind', shared, 'rbind', 'rslave'), mount('/b', 'bind', shared, 'rbind', 'rshared'), mount('/c', 'bind', shared, 'rbind', 'rprivate'))),
];

const processes: Clause[] = [
  gives('config.md process.terminal', 'false: no terminal', 'tty; true', 'not a tty\n'),
  gives('config.md process.terminal', 'true: a terminal, also as /dev/console', 'tty; test -c /dev/console && echo console', '/dev/console\r\nconsole\r\n', process({ terminal: true })),
  gives('config.md process.cwd', 'is where the program starts', 'pwd', '/tmp\n', process({ cwd: '/tmp' })),
  gives('config.md process.cwd', 'is made where it is missing', 'pwd', '/not/there\n', process({ cwd: '/not/there' })),
  refuses('config.md process.cwd', 'must be absolute', /process\.cwd: must be an absolute path/, process({ cwd: 'tmp' })),
  refuses('config.md process.cwd', 'is required', /process\.cwd: missing/, process({ cwd: undefined })),
  gives('config.md process.env', 'as given, and HOME', '', 'PATH=/bin\nA=b\nEMPTY=\nHOME=/root\n', process({ args: ['env'], env: ['PATH=/bin', 'A=b', 'EMPTY='] })),
  refuses('config.md process.env', 'NAME=value', /process\.env/, process({ env: ['NAME'] })),
  gives('config.md process.args', 'as given', '', 'one  two\n$HOME\n', process({ args: ['/bin/sh', '-c', 'echo "$0"; echo "$1"', 'one  two', '$HOME'] })),
  gives('config.md process.args', 'the first is looked up in PATH', '', 'found\n', process({ args: ['echo', 'found'] })),
  refuses('config.md process.args', 'at least one', /process\.args/, process({ args: [] })),
  refuses('config.md process.args', 'the program must be there', /command .*no-such-program/, process({ args: ['no-such-program'] })),
  gives('config.md process.rlimits', 'soft and hard', 'grep "Max open files" /proc/self/limits | while read a b c d e f; do echo $d $e; done', '100 200\n', limits({ type: 'RLIMIT_NOFILE', soft: 100, hard: 200 })),
  refuses('config.md process.rlimits', 'a type that the kernel does not have', /rlimits\[0\]\.type/, limits({ type: 'RLIMIT_NOTHING', soft: 1, hard: 1 })),
  refuses('config.md process.rlimits', 'one type twice', /appears twice/, limits({ type: 'RLIMIT_CORE', soft: 0, hard: 0 }, { type: 'RLIMIT_CORE', soft: 0, hard: 0 })),
  gives('config.md process.capabilities', 'effective and permitted', field('CapEff'), '0000000000000021\n', capabilities({ bounding: ['CAP_CHOWN', 'CAP_KILL'], effective: ['CAP_CHOWN', 'CAP_KILL'], permitted: ['CAP_CHOWN', 'CAP_KILL'] })),
  gives('config.md process.capabilities', 'bounding', field('CapBnd'), '0000000000000020\n', capabilities({ bounding: ['CAP_KILL'] })),
  gives('config.md process.capabilities', 'inheritable', field('CapInh'), '0000000000000020\n', capabilities({ bounding: ['CAP_KILL'], permitted: ['CAP_KILL'], inheritable: ['CAP_KILL'] })),
  gives('config.md process.capabilities', 'ambient', field('CapAmb'), '0000000000000020\n', both(process({ user: { uid: 1000, gid: 1000 } }), capabilities({ bounding: ['CAP_KILL'], permitted: ['CAP_KILL'], inheritable: ['CAP_KILL'], ambient: ['CAP_KILL'] }))),
  gives('config.md process.capabilities', 'none', field('CapBnd'), '0000000000000000\n', process({ capabilities: undefined })),
  refuses('config.md process.capabilities', 'one that Linux does not have', /capabilities\.bounding.*CAP_FLY/, capabilities({ bounding: ['CAP_FLY'] })),
  gives('config.md process.noNewPrivileges', 'true', field('NoNewPrivs'), '1\n', process({ noNewPrivileges: true })),
  gives('config.md process.noNewPrivileges', 'false', field('NoNewPrivs'), '0\n', process({ noNewPrivileges: false })),
  gives('config.md process.oomScoreAdj', 'as given', 'cat /proc/self/oom_score_adj', '321\n', process({ oomScoreAdj: 321 })),
  refuses('config.md process.oomScoreAdj', 'beyond the kernel\'s range', /process\.oomScoreAdj/, process({ oomScoreAdj: 1001 })),
  refuses('config.md process.apparmorProfile', 'cannot be had: an error', /apparmor no-such-profile/, process({ apparmorProfile: 'no-such-profile' })),
  refuses('config.md process.selinuxLabel', 'cannot be had: an error', /process\.selinuxLabel: not supported/, process({ selinuxLabel: 'system_u:system_r:svirt_lxc_net_t:s0' })),
  refuses('config.md process.scheduler', 'cannot be had: an error', /process\.scheduler: not supported/, process({ scheduler: { policy: 'SCHED_BATCH' } })),
  refuses('config.md process.ioPriority', 'cannot be had: an error', /process\.ioPriority: not supported/, process({ ioPriority: { class: 'IOPRIO_CLASS_IDLE', priority: 4 } })),
  gives('config.md process.user', 'uid and gid', 'id -u; id -g', '1000\n1001\n', process({ user: { uid: 1000, gid: 1001 } })),
  gives('config.md process.user', 'umask', 'umask', '0027\n', process({ user: { uid: 0, gid: 0, umask: 0o027 } })),
  gives('config.md process.user', 'additionalGids', field('Groups'), '5 2000\n', process({ user: { uid: 1000, gid: 1000, additionalGids: [5, 2000] } })),
  gives('config.md process.user', 'no groups of the runtime\'s', field('Groups'), '\n', process({ user: { uid: 1000, gid: 1000 } })),
];

const whole: Clause[] = [
  gives('config.md hostname', 'as given', 'hostname', 'clause.example\n', (config) => void (config['hostname'] = 'clause.example')),
  gives('config.md domainname', 'as given', 'cat /proc/sys/kernel/domainname', 'example.org\n', (config) => void (config['domainname'] = 'example.org')),
  gives('config.md annotations', 'unknown ones are passed over', 'echo ran', 'ran\n', (config) => void (config['annotations'] = { 'com.example.key': 'value' })),
  gives('config.md extensibility', 'unknown properties are passed over', 'echo ran', 'ran\n', (config) => void Object.assign(config, { unknown: { property: 1 } })),
  refuses('config.md valid values', 'a value of the wrong type', /process\.noNewPrivileges: must be true or false/, process({ noNewPrivileges: 'yes' })),
  refuses('config.md process', 'is required to start', /process: missing/, (config) => void Reflect.deleteProperty(config, 'process')),
];

export const configClauses: readonly Clause[] = [...root, ...mounts, ...processes, ...whole];
