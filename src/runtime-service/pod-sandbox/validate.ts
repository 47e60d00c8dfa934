import { isIP } from 'node:net';
import type { PodSandboxConfig__Output } from '../../cri-server/generated/runtime/v1/PodSandboxConfig.ts';
import type { NamespaceOption__Output } from '../../cri-server/generated/runtime/v1/NamespaceOption.ts';
import type { Cgroups } from '../../cgroup/cgroups.ts';
import { podWrites } from '../../cgroup/pod-limits.ts';
import { sliceDirectory } from '../../cgroup/systemd/units.ts';
import { BerthError, invalidField } from '../../errors/catalogue.ts';
import { runtimeHandlers } from '../runtime.ts';
import { validateSandboxProfiles } from '../security/confinement.ts';
import { validatePodUserNamespace } from './user-namespace.ts';

/** Checks a sandbox configuration wholly before anything is changed. Throws INVALID_FIELD or UNKNOWN_HANDLER. */
export function validateSandbox(
  config: PodSandboxConfig__Output | null,
  runtimeHandler: string,
  driver: Cgroups['driver'],
): PodSandboxConfig__Output {
  if (config === null) throw invalidField('config', 'is missing');
  validateMetadata(config);
  validateHostname(config);
  validatePorts(config);
  validateDns(config);
  validateSandboxUser(config);
  const options = namespaceOptions(config);
  validateNamespaces(options);
  validatePodUserNamespace(config);
  validateSysctls(config, options);
  validateSandboxProfiles(config.linux?.security_context ?? null);
  validateCgroupParent(config.linux?.cgroup_parent ?? '', driver);
  podWrites(config.linux?.overhead ?? null, config.linux?.resources ?? null, 'config.linux');
  if (config.log_directory !== '' && !config.log_directory.startsWith('/')) {
    throw invalidField('config.log_directory', `"${config.log_directory}" is not an absolute path`);
  }
  if (!runtimeHandlers.includes(runtimeHandler)) {
    throw new BerthError('UNKNOWN_HANDLER', `runtime_handler: no handler is named "${runtimeHandler}"`);
  }
  return config;
}

/** The pod's namespace options; absent ones have the CRI's default, POD. */
export function namespaceOptions(config: PodSandboxConfig__Output): Pick<NamespaceOption__Output, 'network' | 'pid' | 'ipc'> & {
  readonly userns_options: NamespaceOption__Output['userns_options'];
} {
  const options = config.linux?.security_context?.namespace_options;
  return {
    network: options?.network ?? 'POD',
    pid: options?.pid ?? 'POD',
    ipc: options?.ipc ?? 'POD',
    userns_options: options?.userns_options ?? null,
  };
}

/** A sandbox has no process of its own that could run as anybody; the CRI wants this refused all the same. */
function validateSandboxUser(config: PodSandboxConfig__Output): void {
  const security = config.linux?.security_context;
  if (security?.run_as_group != null && security.run_as_user === null) throw invalidField('config.linux.security_context.run_as_group', 'needs run_as_user');
}

function validateMetadata(config: PodSandboxConfig__Output): void {
  const metadata = config.metadata;
  if (metadata === null) throw invalidField('config.metadata', 'is missing');
  for (const field of ['name', 'namespace', 'uid'] as const) {
    if (metadata[field] === '') throw invalidField(`config.metadata.${field}`, 'is empty');
  }
}

function validateHostname(config: PodSandboxConfig__Output): void {
  // sethostname(2): at most HOST_NAME_MAX bytes.
  if (Buffer.byteLength(config.hostname) > 64) throw invalidField('config.hostname', 'is longer than 64 bytes');
  if (/[\s/]/.test(config.hostname)) throw invalidField('config.hostname', `"${config.hostname}" holds a space or a slash`);
}

function validatePorts(config: PodSandboxConfig__Output): void {
  for (const [index, port] of config.port_mappings.entries()) {
    const field = `config.port_mappings[${index}]`;
    for (const key of ['container_port', 'host_port'] as const) {
      if (port[key] < 0 || port[key] > 65_535) throw invalidField(`${field}.${key}`, `${port[key]} is not between 0 and 65535`);
    }
    if (port.host_port !== 0 && port.container_port === 0) throw invalidField(`${field}.container_port`, 'is 0');
    if (port.host_ip !== '' && isIP(port.host_ip) === 0) {
      throw invalidField(`${field}.host_ip`, `"${port.host_ip}" is not an IP address`);
    }
  }
}

/** Each becomes a word of a line of resolv.conf(5). */
function validateDns(config: PodSandboxConfig__Output): void {
  for (const list of ['servers', 'searches', 'options'] as const) {
    for (const [index, word] of (config.dns_config?.[list] ?? []).entries()) {
      if (!/^\S+$/.test(word)) throw invalidField(`config.dns_config.${list}[${index}]`, `"${word}" is empty or holds a space`);
    }
  }
}

function validateNamespaces(options: ReturnType<typeof namespaceOptions>): void {
  const field = 'config.linux.security_context.namespace_options';
  for (const kind of ['network', 'ipc'] as const) {
    if (options[kind] !== 'POD' && options[kind] !== 'NODE') {
      throw invalidField(`${field}.${kind}`, `${options[kind]} is not a mode for a pod: POD or NODE`);
    }
  }
  if (options.pid === 'TARGET') throw invalidField(`${field}.pid`, 'TARGET is a mode for containers');
}

/** Sysctls that belong to the IPC namespace (ipc_namespaces(7)), beside kernel.msg* and kernel.shm*. */
const ipcSysctls: ReadonlySet<string> = new Set(['kernel.sem', 'kernel.auto_msgmni']);

/** Only namespaced sysctls, of a namespace that is the pod's own. */
function validateSysctls(config: PodSandboxConfig__Output, options: ReturnType<typeof namespaceOptions>): void {
  for (const [name, value] of Object.entries(config.linux?.sysctls ?? {})) {
    const field = `config.linux.sysctls["${name}"]`;
    if (!/^[A-Za-z0-9_-]+([./][A-Za-z0-9_:-]+)+$/.test(name)) throw invalidField(field, 'is not a sysctl name such as net.ipv4.ip_forward');
    if (/[\n\r]/.test(value)) throw invalidField(field, 'its value holds a line break');
    const dotted = name.replaceAll('/', '.');
    const ofIpc = ipcSysctls.has(dotted) || /^(kernel\.(shm|msg)|fs\.mqueue\.)/.test(dotted);
    const ofNetwork = dotted.startsWith('net.');
    if (!ofIpc && !ofNetwork) throw invalidField(field, 'is not namespaced: it would change the node');
    if (ofIpc && options.ipc === 'NODE') throw invalidField(field, 'would change the node: the pod uses its IPC namespace');
    if (ofNetwork && options.network === 'NODE') throw invalidField(field, 'would change the node: the pod uses its network');
  }
}

/** The kubelet gives the form of its own driver, which has to be Berth's. */
function validateCgroupParent(parent: string, driver: Cgroups['driver']): void {
  if (parent === '') return;
  const field = 'config.linux.cgroup_parent';
  if (parent.split('/').includes('..')) throw invalidField(field, `"${parent}" holds ".."`);
  if (driver === 'cgroupfs') {
    if (!parent.endsWith('.slice')) return;
    throw invalidField(field, `"${parent}" is a systemd slice, but the cgroup driver is cgroupfs: give a path, and set the kubelet's cgroupDriver to cgroupfs`);
  }
  if (sliceDirectory(parent) !== undefined) return;
  throw invalidField(field, `"${parent}" is no systemd slice such as kubepods-pod1.slice, but the cgroup driver is systemd: set the kubelet's cgroupDriver to systemd`);
}
