/**
 * The profile behind RuntimeDefault: what programs in containers need, and nothing that works on the node as a whole.
 * In effect as tight as the default profiles of Docker and containerd; docs/security.md tells what it denies and why.
 *
 * It has the form of Docker's profiles, so `includes` and `excludes` are decided by the container's capabilities.
 * What is not named is denied with EPERM, and what is newer than everything named with ENOSYS (berth-seccomp sees to
 * that), so that a C library tries the older call instead of failing.
 */

interface Condition {
  readonly index: number;
  readonly op: 'SCMP_CMP_EQ' | 'SCMP_CMP_LT' | 'SCMP_CMP_GT' | 'SCMP_CMP_MASKED_EQ';
  readonly value: number;
  readonly valueTwo?: number;
}

interface Rule {
  readonly names: readonly string[];
  readonly action: 'SCMP_ACT_ALLOW' | 'SCMP_ACT_ERRNO';
  readonly errnoRet?: number;
  readonly args?: readonly Condition[];
  readonly includes?: { readonly caps?: readonly string[]; readonly arches?: readonly string[] };
  readonly excludes?: { readonly caps: readonly string[] };
}

const words = (text: string): string[] => text.trim().split(/\s+/);

/** Allowed for every container, with any arguments. A 32-bit architecture has several of the names for one thing. */
const harmless: Readonly<Record<string, string>> = {
  'files: opening, reading, writing, what is known of them': `
    access close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 fadvise64 fadvise64_64 fallocate
    fcntl fcntl64 fdatasync flock fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 getdents
    getdents64 ioctl _llseek lseek lstat lstat64 name_to_handle_at newfstatat open openat openat2 pread64 preadv preadv2
    pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv sendfile sendfile64 splice stat stat64 statfs
    statfs64 statx sync sync_file_range syncfs tee truncate truncate64 umask vmsplice write writev cachestat
    file_getattr file_setattr`,
  'directories, names, owners, permissions, times, attributes': `
    chdir chmod chown chown32 fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fgetxattr flistxattr fremovexattr
    fsetxattr futimesat getcwd getxattr getxattrat lchown lchown32 lgetxattr link linkat listxattr listxattrat llistxattr
    lremovexattr lsetxattr mkdir mkdirat mknod mknodat removexattr removexattrat rename renameat renameat2 rmdir setxattr
    setxattrat symlink symlinkat unlink unlinkat utime utimensat utimensat_time64 utimes`,
  'being told of changes; waiting for many descriptors': `
    epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd
    eventfd2 fanotify_mark inotify_add_watch inotify_init inotify_init1 inotify_rm_watch _newselect pipe pipe2 poll ppoll
    ppoll_time64 pselect6 pselect6_time64 select signalfd signalfd4`,
  'asynchronous input and output of the old kind': `
    io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit`,
  'sockets that are there already; socketcall hides its arguments, so it cannot be filtered': `
    accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg recvmmsg_time64 recvmsg
    send sendmmsg sendmsg sendto setsockopt shutdown socketcall socketpair`,
  memory: `
    brk madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall mmap mmap2 mprotect
    mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect process_mrelease remap_file_pages`,
  'processes and threads, their ids and limits (clone is below)': `
    capget capset execve execveat exit exit_group fork get_robust_list get_thread_area getcpu getegid getegid32 geteuid
    geteuid32 getgid getgid32 getgroups getgroups32 getpgid getpgrp getpid getppid getpriority getresgid getresgid32
    getresuid getresuid32 getrlimit getrusage getsid gettid getuid getuid32 ioprio_get ioprio_set pidfd_open prctl
    prlimit64 restart_syscall rseq set_robust_list set_thread_area set_tid_address setfsgid setfsgid32 setfsuid
    setfsuid32 setgid setgid32 setgroups setgroups32 setpgid setpriority setregid setregid32 setresgid setresgid32
    setresuid setresuid32 setreuid setreuid32 setrlimit setsid setuid setuid32 ugetrlimit vfork wait4 waitid waitpid`,
  'one process looking into another: only of the same user and, since Linux 4.8, no way around a filter': `
    process_vm_readv process_vm_writev ptrace`,
  scheduling: `
    sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler
    sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler
    sched_yield`,
  signals: `
    kill pause pidfd_send_signal rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend
    rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaltstack sigprocmask sigreturn tgkill tkill`,
  'locks, and what System V and POSIX have for messages, semaphores and shared memory': `
    futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake ipc mq_getsetattr mq_notify mq_open
    mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink msgctl msgget msgrcv msgsnd semctl
    semget semop semtimedop semtimedop_time64 shmat shmctl shmdt shmget`,
  'time: reading it, waiting; adjtimex changes nothing without CAP_SYS_TIME': `
    adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64
    clock_nanosleep clock_nanosleep_time64 getitimer gettimeofday nanosleep setitimer time timer_create timer_delete
    timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime
    timerfd_gettime64 timerfd_settime timerfd_settime64 times`,
  'what a process may ask of the kernel about itself and its mounts; confining oneself further': `
    getrandom landlock_add_rule landlock_create_ruleset landlock_restrict_self listmount lsm_get_self_attr
    lsm_list_modules lsm_set_self_attr seccomp statmount sysinfo uname uretprobe`,
};

/** Allowed with a capability, without which most of them would fail anyway. */
const privileged: Readonly<Record<string, string>> = {
  CAP_DAC_READ_SEARCH: 'open_by_handle_at',
  CAP_SYS_ADMIN: `
    bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr move_mount open_tree
    open_tree_attr perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare`,
  CAP_SYS_BOOT: 'reboot',
  CAP_SYS_CHROOT: 'chroot',
  CAP_SYS_MODULE: 'delete_module finit_module init_module',
  CAP_SYS_PACCT: 'acct',
  CAP_SYS_PTRACE: 'kcmp pidfd_getfd process_madvise',
  CAP_SYS_RAWIO: 'ioperm iopl',
  CAP_SYS_TIME: 'clock_settime clock_settime64 settimeofday stime',
  CAP_SYS_TTY_CONFIG: 'vhangup',
  CAP_SYS_NICE: 'get_mempolicy mbind set_mempolicy set_mempolicy_home_node',
  CAP_SYSLOG: 'syslog',
  CAP_BPF: 'bpf',
  CAP_PERFMON: 'perf_event_open',
};

/** Those of one processor, by the names that Docker's profiles have for it. */
const ofProcessors: readonly (readonly [readonly string[], string])[] = [
  [['amd64', 'x32'], 'arch_prctl modify_ldt'],
  [['x86'], 'modify_ldt'],
  [['arm', 'arm64'], 'arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls sync_file_range2'],
];

/** PER_LINUX and PER_LINUX32, each also with UNAME26, and the question what it is. The others switch protections off. */
const personalities = [0x0, 0x8, 0x20000, 0x20008, 0xffffffff];

/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET. */
const namespaceFlags = 0x7e020000;

const AF_ALG = 38;
const AF_VSOCK = 40;
const ENOSYS = 38;

const allow = (names: readonly string[], rest: Omit<Rule, 'names' | 'action'> = {}): Rule => ({ names, action: 'SCMP_ACT_ALLOW', ...rest });
const allowIf = (name: string, condition: Condition, rest: Omit<Rule, 'names' | 'action' | 'args'> = {}): Rule =>
  allow([name], { args: [condition], ...rest });

function rules(): Rule[] {
  const withoutAdmin = { excludes: { caps: ['CAP_SYS_ADMIN'] } };
  return [
    allow(Object.values(harmless).flatMap(words)),
    // AF_VSOCK leads to the hypervisor, past every network namespace; AF_ALG to code of the kernel that few have looked
    // at. Three rules that leave them out, because alternatives on one argument are joined by "or".
    allowIf('socket', { index: 0, op: 'SCMP_CMP_LT', value: AF_ALG }),
    allowIf('socket', { index: 0, op: 'SCMP_CMP_EQ', value: AF_ALG + 1 }),
    allowIf('socket', { index: 0, op: 'SCMP_CMP_GT', value: AF_VSOCK }),
    ...personalities.map((value) => allowIf('personality', { index: 0, op: 'SCMP_CMP_EQ', value })),
    // No namespaces without CAP_SYS_ADMIN: a user namespace opens what only root's programs were to reach.
    allowIf('clone', { index: 0, op: 'SCMP_CMP_MASKED_EQ', value: namespaceFlags, valueTwo: 0 }, withoutAdmin),
    // Its flags are in memory, where a filter does not see them; told that it is not there, programs use clone.
    { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: ENOSYS, ...withoutAdmin },
    ...Object.entries(privileged).map(([capability, names]) => allow(words(names), { includes: { caps: [capability] } })),
    ...ofProcessors.map(([arches, names]) => allow(words(names), { includes: { arches } })),
  ];
}

/** The profile as JSON text in Docker's form. */
export const defaultSeccompProfile: string = JSON.stringify({
  defaultAction: 'SCMP_ACT_ERRNO',
  defaultErrnoRet: 1,
  archMap: [
    { architecture: 'SCMP_ARCH_X86_64', subArchitectures: ['SCMP_ARCH_X86', 'SCMP_ARCH_X32'] },
    { architecture: 'SCMP_ARCH_AARCH64', subArchitectures: ['SCMP_ARCH_ARM'] },
  ],
  syscalls: rules(),
});
