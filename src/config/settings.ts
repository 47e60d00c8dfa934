/**
 * Every setting of berthd, once: its key in the configuration file, its flag, its kind and its default.
 * The file reader, the command line, the help text and the test of docs/configuration.md all read this list.
 */

export type SettingValue = string | boolean | number | readonly string[];

export type SettingKind =
  | { readonly type: 'path' }
  | { readonly type: 'paths' }
  | { readonly type: 'text'; readonly pattern: RegExp; readonly expected: string }
  | { readonly type: 'texts'; readonly pattern: RegExp; readonly expected: string; readonly mayBeEmpty?: boolean }
  | { readonly type: 'choice'; readonly choices: readonly string[] }
  | { readonly type: 'boolean' }
  | { readonly type: 'integer'; readonly min: number; readonly max: number };

export interface Setting {
  /** Dotted key in the configuration file. */
  readonly key: string;
  /** Name of the flag, without dashes. */
  readonly flag?: string;
  /** Stands for the value in the help text. */
  readonly placeholder?: string;
  readonly kind: SettingKind;
  readonly default: SettingValue;
  /** One line, for the help text. */
  readonly help: string;
}

const path: SettingKind = { type: 'path' };

const optionalPath: SettingKind = {
  type: 'text',
  pattern: /^(|\/[^\0]*)$/,
  expected: 'an absolute path, or empty',
};

const hostPort: SettingKind = {
  type: 'text',
  pattern: /^(\[[0-9a-fA-F:.]+\]|[^:\s]*):\d{1,5}$/,
  expected: 'host:port',
};

const optionalHostPort: SettingKind = {
  type: 'text',
  pattern: new RegExp(`^$|${hostPort.pattern.source}`),
  expected: 'host:port, or empty',
};

const unixAddress: SettingKind = {
  type: 'text',
  pattern: /^unix:\/\/\/[^\0]+$/,
  expected: 'unix:///absolute/path',
};

const subnets: SettingKind = {
  type: 'texts',
  pattern: /^[0-9a-fA-F:.]+\/\d{1,3}$/,
  expected: 'subnets as 10.88.0.0/16',
};

const upTo = (min: number, max: number): SettingKind => ({ type: 'integer', min, max });

const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'];

/** Bytes a second; the shim takes no more. */
export const maxLogRate = 2 ** 40;

const topLevel: readonly Setting[] = [
  { key: 'root', flag: 'root', placeholder: 'DIR', kind: path, default: '/var/lib/berth', help: 'what survives a reboot: images, layers, records' },
  { key: 'state', flag: 'state', placeholder: 'DIR', kind: path, default: '/run/berth', help: 'what does not: pinned namespaces, shims' },
  { key: 'listen', flag: 'listen', placeholder: 'unix://PATH', kind: unixAddress, default: 'unix:///run/berth/berth.sock', help: 'the CRI socket' },
  { key: 'log_level', flag: 'log-level', placeholder: 'LEVEL', kind: { type: 'choice', choices: logLevels }, default: 'info', help: logLevels.join(', ') },
  { key: 'stream_address', flag: 'stream-address', placeholder: 'HOST:PORT', kind: hostPort, default: '127.0.0.1:0', help: 'exec, attach and port-forward streams; port 0 picks one' },
  { key: 'metrics_address', flag: 'metrics-address', placeholder: 'HOST:PORT', kind: optionalHostPort, default: '', help: 'Prometheus metrics; empty for none' },
  { key: 'nri_socket', flag: 'nri-socket', placeholder: 'PATH', kind: optionalPath, default: '', help: 'Node Resource Interface; empty for none' },
];

const stream: readonly Setting[] = [
  { key: 'stream.tls', kind: { type: 'boolean' }, default: false, help: 'serve streams by TLS' },
  { key: 'stream.tls_certificate', kind: optionalPath, default: '', help: 'PEM file; empty, as the key: a certificate of its own' },
  { key: 'stream.tls_key', kind: optionalPath, default: '', help: 'PEM file' },
  { key: 'stream.idle_timeout_seconds', kind: upTo(1, 2_000_000), default: 14_400, help: 'without a byte after which a session is ended' },
  { key: 'stream.max_sessions', kind: upTo(1, 65_536), default: 1024, help: 'open at once' },
  { key: 'stream.max_pending', kind: upTo(1, 65_536), default: 1024, help: 'URLs given out and not used' },
];

const cni: readonly Setting[] = [
  { key: 'cni.conf_dir', flag: 'cni-conf-dir', placeholder: 'DIR', kind: path, default: '/etc/cni/net.d', help: 'CNI configuration' },
  { key: 'cni.bin_dirs', flag: 'cni-bin-dir', placeholder: 'DIR', kind: { type: 'paths' }, default: ['/opt/cni/bin', '/usr/lib/cni'], help: 'CNI plugins; may be given more than once' },
  { key: 'cni.netns_dir', kind: path, default: '/run/netns', help: 'where pinned network namespaces appear' },
  { key: 'cni.default_network', kind: { type: 'boolean' }, default: true, help: 'offer a bridge network where conf_dir has no configuration' },
  { key: 'cni.default_subnets', kind: subnets, default: ['10.88.0.0/16'], help: 'of that network, while the kubelet gave no pod CIDR' },
  { key: 'cni.timeout_seconds', kind: upTo(1, 3600), default: 60, help: 'for one ADD or DEL of a whole list' },
];

const registry: readonly Setting[] = [
  { key: 'registry.config_dir', flag: 'registry-config-dir', placeholder: 'DIR', kind: path, default: '/etc/berth/certs.d', help: 'mirrors and certificates: HOST/hosts.toml' },
  { key: 'registry.docker_certs_dir', kind: optionalPath, default: '/etc/docker/certs.d', help: 'certificates as Docker has them, for registries that config_dir does not name; empty for none' },
  { key: 'registry.auth_file', kind: optionalPath, default: '', help: 'credentials in the format of Docker, for pulls that bring none' },
  { key: 'registry.max_concurrent_downloads', kind: upTo(1, 256), default: 6, help: 'over all pulls' },
  { key: 'registry.max_concurrent_unpacks', kind: upTo(1, 256), default: 6, help: 'over all pulls' },
  { key: 'registry.max_concurrent_per_pull', kind: upTo(1, 256), default: 4, help: 'layers of one pull at once' },
  { key: 'registry.attempts', kind: upTo(1, 20), default: 4, help: 'at one server' },
  { key: 'registry.retry_delay_milliseconds', kind: upTo(1, 60_000), default: 250, help: 'before the second attempt; doubles with each' },
  { key: 'registry.progress_timeout_seconds', kind: upTo(1, 86_400), default: 60, help: 'without a byte after which a pull is given up' },
];

const references: SettingKind = { type: 'texts', pattern: /^[^\s]+$/, expected: 'references of images', mayBeEmpty: true };

const images: readonly Setting[] = [
  { key: 'images.pinned_images', kind: references, default: [], help: 'images that the kubelet must not collect' },
  { key: 'images.max_layer_bytes', kind: upTo(1_048_576, 2 ** 50), default: 2 ** 37, help: 'of one unpacked layer' },
  { key: 'images.max_layer_entries', kind: upTo(1, 1_000_000_000), default: 4_000_000, help: 'files and directories of one layer' },
  { key: 'images.max_layer_ratio', kind: upTo(1, 1_000_000), default: 1000, help: 'of unpacked to packed bytes, beyond the first GiB' },
  { key: 'images.max_path_length', kind: upTo(1, 4095), default: 4095, help: 'bytes of a path in a layer' },
];

const cdi: readonly Setting[] = [
  { key: 'cdi.spec_dirs', flag: 'cdi-spec-dir', placeholder: 'DIR', kind: { type: 'paths' }, default: ['/etc/cdi', '/var/run/cdi'], help: 'Container Device Interface specs; may be given more than once' },
];

const runtime: readonly Setting[] = [
  { key: 'runtime.cgroup_driver', kind: { type: 'choice', choices: ['auto', 'cgroupfs', 'systemd'] }, default: 'auto', help: 'auto: systemd where it is PID 1 and manages the cgroup tree' },
  { key: 'runtime.allow_missing_controllers', flag: 'allow-missing-controllers', kind: { type: 'boolean' }, default: false, help: 'start although limits cannot be enforced; for development' },
  { key: 'runtime.pids_limit', kind: upTo(0, 4_194_304), default: 0, help: 'pids.max of every container; 0 for no limit' },
  { key: 'runtime.privileged_without_host_devices', kind: { type: 'boolean' }, default: false, help: 'privileged containers get the devices that they list alone' },
  { key: 'runtime.log_rate_limit', kind: upTo(0, maxLogRate), default: 0, help: 'bytes a second that a container may log, unless its pod is annotated with berth.dev/log-rate-limit; 0 for no limit' },
  { key: 'runtime.max_concurrent_launches', kind: upTo(1, 1024), default: 16, help: 'sandboxes and containers being launched at once' },
];

export const settings: readonly Setting[] = [...topLevel, ...stream, ...cni, ...registry, ...images, ...cdi, ...runtime];

/** What is wrong with `value`, as "expected …"; undefined when it fits. */
export function settingProblem(kind: SettingKind, value: unknown): string | undefined {
  const bad = (expected: string): string => `expected ${expected}, found ${JSON.stringify(value)}`;
  const isText = (item: unknown, pattern: RegExp): boolean => typeof item === 'string' && pattern.test(item);
  switch (kind.type) {
    case 'path':
      return isText(value, /^\/[^\0]*$/) ? undefined : bad('an absolute path');
    case 'paths':
      return isList(value, (item) => isText(item, /^\/[^\0]*$/)) ? undefined : bad('a list of absolute paths');
    case 'text':
      return isText(value, kind.pattern) ? undefined : bad(kind.expected);
    case 'texts':
      if (kind.mayBeEmpty === true && Array.isArray(value) && value.length === 0) return undefined;
      return isList(value, (item) => isText(item, kind.pattern)) ? undefined : bad(`a list of ${kind.expected}`);
    case 'choice':
      return kind.choices.includes(value as string) ? undefined : bad(`one of ${kind.choices.join(', ')}`);
    case 'boolean':
      return typeof value === 'boolean' ? undefined : bad('true or false');
    case 'integer': {
      const fits = Number.isSafeInteger(value) && (value as number) >= kind.min && (value as number) <= kind.max;
      return fits ? undefined : bad(`an integer from ${kind.min} to ${kind.max}`);
    }
  }
}

function isList(value: unknown, fits: (item: unknown) => boolean): boolean {
  return Array.isArray(value) && value.length > 0 && value.every(fits);
}
