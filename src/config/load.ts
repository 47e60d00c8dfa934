/**
 * The configuration: defaults, then /etc/berth/config.toml, then config.d/*.toml beside it in the order
 * of their names, then the flags. The last one wins, key by key; lists are replaced, not joined.
 *
 *   const { config, files } = await loadConfig(command);     // command from parseCommandLine
 *
 * Strict: an unknown key or a value of the wrong kind is CONFIG_INVALID, naming file, key and what was
 * expected. A setting that is silently ignored is worse than a daemon that does not start.
 */
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { parse, TomlError } from 'smol-toml';
import { BerthError, wrapError } from '../errors/catalogue.ts';
import type { RunCommand } from './command-line.ts';
import type { Config, LogLevel } from './config.ts';
import { settingProblem, settings, type SettingValue } from './settings.ts';

export interface LoadedConfig {
  readonly config: Config;
  /** The files that were read, in order. */
  readonly files: readonly string[];
}

const defaultFile = '/etc/berth/config.toml';

export async function loadConfig(command: Pick<RunCommand, 'configFile' | 'overrides'>): Promise<LoadedConfig> {
  const main = command.configFile ?? defaultFile;
  const values = new Map<string, SettingValue>(settings.map((setting) => [setting.key, setting.default]));
  const files: string[] = [];
  const mainText = await readIfThere(main);
  if (mainText === undefined && command.configFile !== undefined) {
    throw new BerthError('CONFIG_INVALID', `${main}: there is no such file`);
  }
  if (mainText !== undefined) {
    applyFile(main, mainText, values);
    files.push(main);
  }
  for (const file of await dropIns(join(dirname(main), 'config.d'))) {
    applyFile(file, (await readIfThere(file)) ?? '', values);
    files.push(file);
  }
  for (const [key, value] of command.overrides) values.set(key, value);
  return { config: toConfig(values), files };
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw wrapError(`read ${file}`, cause, 'CONFIG_INVALID');
  }
}

async function dropIns(directory: string): Promise<string[]> {
  try {
    const names = await readdir(directory);
    return names
      .filter((name) => name.endsWith('.toml') && !name.startsWith('.'))
      .toSorted()
      .map((name) => join(directory, name));
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT') return [];
    throw wrapError(`read ${directory}`, cause, 'CONFIG_INVALID');
  }
}

const settingsByKey = new Map(settings.map((setting) => [setting.key, setting]));

const sections = new Set(
  settings.flatMap(({ key }) => (key.includes('.') ? [key.slice(0, key.indexOf('.'))] : [])),
);

function applyFile(file: string, text: string, values: Map<string, SettingValue>): void {
  for (const [key, value] of flatten(file, parseToml(file, text))) {
    const setting = settingsByKey.get(key);
    if (setting === undefined) throw invalid(file, key, 'there is no such setting');
    const problem = settingProblem(setting.kind, value);
    if (problem !== undefined) throw invalid(file, key, problem);
    values.set(key, value as SettingValue);
  }
}

function parseToml(file: string, text: string): Readonly<Record<string, unknown>> {
  try {
    return parse(text);
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw wrapError(`read ${file}`, cause, 'CONFIG_INVALID');
    const reason = cause.message.split('\n')[0] ?? '';
    throw new BerthError('CONFIG_INVALID', `${file}:${cause.line}:${cause.column}: ${reason}`, { cause });
  }
}

/** Dotted keys and their values; only a known section is a table. */
function flatten(file: string, table: Readonly<Record<string, unknown>>): [string, unknown][] {
  return Object.entries(table).flatMap(([name, value]): [string, unknown][] => {
    if (!sections.has(name)) return [[name, value]];
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw invalid(file, name, `expected a table, found ${JSON.stringify(value)}`);
    }
    return Object.entries(value).map(([key, inner]) => [`${name}.${key}`, inner as unknown]);
  });
}

function invalid(file: string, key: string, problem: string): BerthError {
  return new BerthError('CONFIG_INVALID', `${file}: ${key}: ${problem}`);
}

/** Every value has been checked against its setting's kind before it got here. */
function toConfig(values: ReadonlyMap<string, SettingValue>): Config {
  const get = <Value extends SettingValue>(key: string): Value => values.get(key) as Value;
  return {
    root: get('root'),
    state: get('state'),
    listen: get('listen'),
    logLevel: get<LogLevel>('log_level'),
    streamAddress: get('stream_address'),
    metricsAddress: get('metrics_address'),
    nriSocket: get('nri_socket'),
    stream: {
      tls: get('stream.tls'),
      tlsCertificate: get('stream.tls_certificate'),
      tlsKey: get('stream.tls_key'),
      idleTimeoutSeconds: get('stream.idle_timeout_seconds'),
      maxSessions: get('stream.max_sessions'),
      maxPending: get('stream.max_pending'),
    },
    cni: {
      confDir: get('cni.conf_dir'),
      binDirs: get('cni.bin_dirs'),
      netnsDir: get('cni.netns_dir'),
      defaultNetwork: get('cni.default_network'),
      defaultSubnets: get('cni.default_subnets'),
      timeoutSeconds: get('cni.timeout_seconds'),
    },
    registry: {
      configDir: get('registry.config_dir'),
      dockerCertsDir: get('registry.docker_certs_dir'),
      authFile: get('registry.auth_file'),
      maxConcurrentDownloads: get('registry.max_concurrent_downloads'),
      maxConcurrentUnpacks: get('registry.max_concurrent_unpacks'),
      maxConcurrentPerPull: get('registry.max_concurrent_per_pull'),
      attempts: get('registry.attempts'),
      retryDelayMilliseconds: get('registry.retry_delay_milliseconds'),
      progressTimeoutSeconds: get('registry.progress_timeout_seconds'),
    },
    images: {
      pinnedImages: get('images.pinned_images'),
      maxLayerBytes: get('images.max_layer_bytes'),
      maxLayerEntries: get('images.max_layer_entries'),
      maxLayerRatio: get('images.max_layer_ratio'),
      maxPathLength: get('images.max_path_length'),
    },
    cdi: { specDirs: get('cdi.spec_dirs') },
    runtime: {
      cgroupDriver: get<Config['runtime']['cgroupDriver']>('runtime.cgroup_driver'),
      allowMissingControllers: get('runtime.allow_missing_controllers'),
      pidsLimit: get('runtime.pids_limit'),
      privilegedWithoutHostDevices: get('runtime.privileged_without_host_devices'),
      logRateLimit: get('runtime.log_rate_limit'),
      maxConcurrentLaunches: get('runtime.max_concurrent_launches'),
    },
  };
}
