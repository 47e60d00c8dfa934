import type { ContainerConfig__Output } from '../../cri-server/generated/runtime/v1/ContainerConfig.ts';
import type { LinuxContainerResources__Output } from '../../cri-server/generated/runtime/v1/LinuxContainerResources.ts';
import type { LinuxContainerSecurityContext__Output } from '../../cri-server/generated/runtime/v1/LinuxContainerSecurityContext.ts';
import type { LinuxPodSandboxConfig__Output } from '../../cri-server/generated/runtime/v1/LinuxPodSandboxConfig.ts';
import type { LinuxSandboxSecurityContext__Output } from '../../cri-server/generated/runtime/v1/LinuxSandboxSecurityContext.ts';
import type { Mount__Output } from '../../cri-server/generated/runtime/v1/Mount.ts';
import type { NamespaceOption__Output } from '../../cri-server/generated/runtime/v1/NamespaceOption.ts';
import type { PodSandboxConfig__Output } from '../../cri-server/generated/runtime/v1/PodSandboxConfig.ts';
import type { ImageRunConfig } from '../../image-service/images.ts';
import type { StoredContainerConfig } from '../../state/container.ts';

/** Requests as the CRI server decodes them: every field is there, with proto3's default. */

export function podConfig(changes: Partial<PodSandboxConfig__Output> = {}): PodSandboxConfig__Output {
  return {
    metadata: { name: 'web', namespace: 'shop', uid: 'u-1', attempt: 0 },
    hostname: 'web-0',
    log_directory: '/var/log/pods/web',
    dns_config: null,
    port_mappings: [],
    labels: { app: 'web' },
    annotations: {},
    linux: null,
    windows: null,
    ...changes,
  };
}

export function podLinux(changes: Partial<LinuxPodSandboxConfig__Output> = {}): LinuxPodSandboxConfig__Output {
  return { cgroup_parent: '', security_context: null, sysctls: {}, overhead: null, resources: null, ...changes };
}

export function podSecurity(changes: Partial<LinuxSandboxSecurityContext__Output> = {}): LinuxSandboxSecurityContext__Output {
  return {
    namespace_options: namespaces({ pid: 'CONTAINER' }),
    selinux_options: null,
    run_as_user: null,
    readonly_rootfs: false,
    supplemental_groups: [],
    privileged: false,
    seccomp_profile_path: '',
    run_as_group: null,
    seccomp: null,
    apparmor: null,
    supplemental_groups_policy: 'Merge',
    ...changes,
  };
}

export function namespaces(changes: Partial<NamespaceOption__Output> = {}): NamespaceOption__Output {
  return { network: 'POD', pid: 'POD', ipc: 'POD', target_id: '', userns_options: null, ...changes };
}

export function containerConfig(changes: Partial<ContainerConfig__Output> = {}): ContainerConfig__Output {
  return {
    metadata: { name: 'main', attempt: 0 },
    image: { image: 'busybox', annotations: {}, user_specified_image: 'busybox:latest', runtime_handler: '', image_ref: '' },
    command: [],
    args: [],
    working_dir: '',
    envs: [],
    mounts: [],
    devices: [],
    labels: { tier: 'front' },
    annotations: {},
    log_path: 'main/0.log',
    stdin: false,
    stdin_once: false,
    tty: false,
    linux: { resources: null, security_context: security() },
    windows: null,
    CDI_devices: [],
    stop_signal: 'SIGNAL_RUNTIME_DEFAULT',
    ...changes,
  };
}

export function storedConfig(changes: Partial<StoredContainerConfig> = {}): StoredContainerConfig {
  return { ...containerConfig(), envs: [], ...changes };
}

export function security(changes: Partial<LinuxContainerSecurityContext__Output> = {}): LinuxContainerSecurityContext__Output {
  return {
    capabilities: null,
    privileged: false,
    namespace_options: namespaces({ pid: 'CONTAINER' }),
    selinux_options: null,
    run_as_user: null,
    run_as_username: '',
    readonly_rootfs: false,
    supplemental_groups: [],
    apparmor_profile: '',
    seccomp_profile_path: '',
    no_new_privs: false,
    run_as_group: null,
    masked_paths: [],
    readonly_paths: [],
    seccomp: null,
    apparmor: null,
    supplemental_groups_policy: 'Merge',
    ...changes,
  };
}

export function resources(changes: Partial<LinuxContainerResources__Output> = {}): LinuxContainerResources__Output {
  return {
    cpu_period: '0',
    cpu_quota: '0',
    cpu_shares: '0',
    memory_limit_in_bytes: '0',
    oom_score_adj: '0',
    cpuset_cpus: '',
    cpuset_mems: '',
    hugepage_limits: [],
    unified: {},
    memory_swap_limit_in_bytes: '0',
    ...changes,
  };
}

export function mount(changes: Partial<Mount__Output> = {}): Mount__Output {
  return {
    container_path: '/data',
    host_path: '/srv/data',
    readonly: false,
    selinux_relabel: false,
    propagation: 'PROPAGATION_PRIVATE',
    uidMappings: [],
    gidMappings: [],
    recursive_read_only: false,
    image: null,
    image_sub_path: '',
    mount_options: [],
    ...changes,
  };
}

export function imageConfig(changes: Partial<ImageRunConfig> = {}): ImageRunConfig {
  return { user: '', env: [], entrypoint: ['/entry'], cmd: ['serve'], workingDir: '', volumes: [], stopSignal: '', labels: {}, ...changes };
}
