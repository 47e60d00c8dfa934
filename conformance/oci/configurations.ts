/** The configurations in which Berth's shim and runc are compared: each changes one thing, or things that act together. */

import { baseConfig } from './bundle.ts';
import type { OciConfig, Workshop } from './bundle.ts';
import { probeScript } from './probe.ts';

export interface Configuration {
  readonly name: string;
  readonly config: (workshop: Workshop) => OciConfig;
  /** Compared where cgroup version 2 is the only one. */
  readonly unifiedOnly?: boolean;
}

type Change = (config: OciConfig, workshop: Workshop) => void;

const configuration = (name: string, change: Change): Configuration => ({
  name,
  config: (workshop) => {
    const config = baseConfig(['/bin/sh', '-c', probeScript]);
    change(config, workshop);
    return config;
  },
});

const withProcess = (name: string, members: Record<string, unknown>): Configuration =>
  configuration(name, (config) => Object.assign(config.process, members));

const withLinux = (name: string, members: Record<string, unknown>): Configuration => configuration(name, (config) => Object.assign(config.linux, members));

const without = (...types: string[]): Configuration =>
  configuration(`the host's ${types.join(', ')}`, (config) => {
    config.linux.namespaces = config.linux.namespaces.filter(({ type }) => !types.includes(type));
    if (types.includes('uts')) delete config['hostname'];
    // Without a network namespace of its own, sysfs cannot be mounted in a nested world; runc wants /proc/sys writable nowhere.
    if (types.includes('network')) config.mounts = config.mounts.filter(({ destination }) => destination !== '/sys');
    if (types.includes('ipc')) config.mounts = config.mounts.filter(({ destination }) => destination !== '/dev/mqueue');
  });

const mounted = (name: string, mount: (workshop: Workshop) => OciConfig['mounts'], rootfsPropagation?: string): Configuration =>
  configuration(name, (config, workshop) => {
    config.mounts.push(...mount(workshop));
    if (rootfsPropagation !== undefined) config.linux['rootfsPropagation'] = rootfsPropagation;
  });

const bind = (source: string, destination: string, ...options: string[]) => ({ destination, type: 'bind', source, options });

const all = [
  'CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'FSETID', 'KILL', 'SETGID', 'SETUID', 'SETPCAP', 'NET_BIND_SERVICE', 'NET_RAW', 'SYS_CHROOT', 'MKNOD', 'AUDIT_WRITE', 'SETFCAP', 'SYS_ADMIN',
].map((name) => `CAP_${name}`);

const seccomp = {
  defaultAction: 'SCMP_ACT_ALLOW',
  architectures: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86'],
  syscalls: [
    { names: ['chmod', 'fchmodat'], action: 'SCMP_ACT_ERRNO', errnoRet: 1 },
    { names: ['personality'], action: 'SCMP_ACT_ERRNO', args: [{ index: 0, value: 8, op: 'SCMP_CMP_EQ' }] },
  ],
};

export const configurations: readonly Configuration[] = [
  configuration('what runc spec makes', () => undefined),
  withProcess('no capabilities', { capabilities: {} }),
  withProcess('many capabilities', { capabilities: { bounding: all, effective: all, permitted: all } }),
  withProcess('a bounding set beyond the permitted', { capabilities: { bounding: all, effective: ['CAP_KILL'], permitted: ['CAP_KILL', 'CAP_CHOWN'] } }),
  withProcess('ambient capabilities of a user', {
    user: { uid: 1000, gid: 1000 },
    capabilities: { bounding: all, effective: ['CAP_NET_RAW'], permitted: ['CAP_NET_RAW'], inheritable: ['CAP_NET_RAW'], ambient: ['CAP_NET_RAW'] },
  }),
  withProcess('a user', { user: { uid: 1000, gid: 1000 } }),
  withProcess('a user without a name', { user: { uid: 4242, gid: 4243 } }),
  withProcess('additional groups', { user: { uid: 1000, gid: 1001, additionalGids: [5, 29, 2000] } }),
  withProcess('a group of root', { user: { uid: 0, gid: 33, additionalGids: [33] } }),
  withProcess('a umask', { user: { uid: 0, gid: 0, umask: 0o077 } }),
  withProcess('no new privileges', { noNewPrivileges: true }),
  withProcess('limits', {
    rlimits: [
      { type: 'RLIMIT_NOFILE', soft: 512, hard: 1024 },
      { type: 'RLIMIT_CORE', soft: 0, hard: 0 },
      { type: 'RLIMIT_NPROC', soft: 100, hard: 200 },
      { type: 'RLIMIT_FSIZE', soft: 1_048_576, hard: 1_048_576 },
    ],
  }),
  withProcess('an environment', { env: ['PATH=/bin', 'EMPTY=', 'SPACE=a b', 'EQUALS=a=b', 'LANG=C.UTF-8'] }),
  withProcess('a home given', { env: ['PATH=/bin', 'HOME=/given'], user: { uid: 1000, gid: 1000 } }),
  withProcess('a working directory that has to be made', { cwd: '/not/there/yet' }),
  withProcess('a score for the OOM killer', { oomScoreAdj: 500 }),
  configuration('a read-only root', (config) => void (config.root.readonly = true)),
  configuration('another host name', (config) => void (config['hostname'] = 'other.example')),
  withLinux('nothing masked or read-only', { maskedPaths: [], readonlyPaths: [] }),
  withLinux('sysctls', { sysctl: { 'net.ipv4.ip_unprivileged_port_start': '80', 'kernel.shm_rmid_forced': '1' } }),
  withLinux('seccomp', { seccomp }),
  configuration('seccomp with no new privileges, as a user', (config) => {
    config.linux['seccomp'] = seccomp;
    Object.assign(config.process, { noNewPrivileges: true, user: { uid: 1000, gid: 1000 }, capabilities: {} });
  }),
  configuration('seccomp as a user who may gain privileges', (config) => {
    config.linux['seccomp'] = { ...seccomp, defaultAction: 'SCMP_ACT_LOG' };
    Object.assign(config.process, { user: { uid: 1000, gid: 1000 } });
  }),
  withLinux('a device with an owner', { devices: [{ path: '/dev/extra', type: 'c', major: 1, minor: 7, fileMode: 0o640, uid: 1000, gid: 5 }] }),
  withLinux('a pipe and a device in a directory', {
    devices: [
      { path: '/dev/deep/er/zero', type: 'c', major: 1, minor: 5, fileMode: 0o666, uid: 0, gid: 0 },
      { path: '/dev/pipe', type: 'p', fileMode: 0o600, uid: 0, gid: 0 },
    ],
  }),
  withLinux('device rules', { resources: { devices: [{ allow: false, access: 'rwm' }, { allow: true, type: 'c', major: 1, minor: 11, access: 'r' }] } }),
  without('pid'),
  without('network'),
  without('ipc'),
  without('uts'),
  without('cgroup'),
  mounted('a bind mount', ({ shared }) => [bind(shared, '/mnt', 'rbind')]),
  mounted('a read-only bind mount', ({ shared }) => [bind(shared, '/mnt', 'rbind', 'ro')]),
  mounted('a recursively read-only bind mount', ({ shared }) => [bind(shared, '/mnt', 'rbind', 'rro')]),
  mounted('a bind mount of a file, to a place that is not there', ({ shared }) => [bind(`${shared}/file`, '/new/place', 'bind', 'nosuid', 'nodev', 'noexec')]),
  mounted('a bind mount that takes part in the host\'s mounts', ({ shared }) => [bind(shared, '/mnt', 'rbind', 'rslave')], 'rslave'),
  mounted('a bind mount that is shared', ({ shared }) => [bind(shared, '/mnt', 'rbind', 'rshared')], 'rshared'),
  mounted('a root that takes part in the host\'s mounts', () => [], 'slave'),
  mounted('a tmpfs with options', () => [{ destination: '/tmp', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'noatime', 'mode=1777', 'size=1m'] }]),
  mounted('a tmpfs below a tmpfs, read-only', () => [
    { destination: '/mnt', type: 'tmpfs', source: 'outer', options: ['mode=0700'] },
    { destination: '/mnt/inner', type: 'tmpfs', source: 'inner', options: ['ro', 'noexec'] },
  ]),
  {
    ...mounted('cgroups', () => [{ destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: ['nosuid', 'noexec', 'nodev', 'relatime', 'ro'] }]),
    unifiedOnly: true,
  },
];
