import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseCommandLine } from './command-line.ts';
import { loadConfig, type LoadedConfig } from './load.ts';

let directory: string;
let file: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'berth-config-'));
  file = join(directory, 'config.toml');
  await mkdir(join(directory, 'config.d'));
});

afterEach(async () => {
  await rm(directory, { recursive: true });
});

async function load(...flags: string[]): Promise<LoadedConfig> {
  const command = parseCommandLine(['--config', file, ...flags]);
  if (command.action !== 'run') throw new Error('not a run');
  return loadConfig(command);
}

test('an empty file leaves the defaults', async () => {
  await writeFile(file, '');
  const { config, files } = await load();
  expect(files).toEqual([file]);
  expect(config).toMatchObject({
    root: '/var/lib/berth',
    state: '/run/berth',
    listen: 'unix:///run/berth/berth.sock',
    logLevel: 'info',
    streamAddress: '127.0.0.1:0',
    metricsAddress: '',
    nriSocket: '',
    cni: { confDir: '/etc/cni/net.d', binDirs: ['/opt/cni/bin', '/usr/lib/cni'], netnsDir: '/run/netns', defaultNetwork: true },
    registry: { configDir: '/etc/berth/certs.d' },
    runtime: { cgroupDriver: 'auto', allowMissingControllers: false, pidsLimit: 0 },
  });
});

test('file, drop-ins in order of name, flags: the last one wins', async () => {
  await writeFile(file, 'root = "/a"\nstate = "/a"\nlog_level = "warn"\n[runtime]\npids_limit = 1\n');
  await writeFile(join(directory, 'config.d/20.toml'), 'root = "/c"\n[cni]\nbin_dirs = ["/x"]\n');
  await writeFile(join(directory, 'config.d/10.toml'), 'root = "/b"\nstate = "/b"\n[runtime]\npids_limit = 2\n');
  await writeFile(join(directory, 'config.d/ignored.conf'), 'not toml');
  const { config, files } = await load('--log-level', 'debug', '--cni-bin-dir', '/p', '--cni-bin-dir', '/q');
  expect(files.map((path) => path.slice(directory.length))).toEqual(['/config.toml', '/config.d/10.toml', '/config.d/20.toml']);
  expect(config).toMatchObject({ root: '/c', state: '/b', logLevel: 'debug', cni: { binDirs: ['/p', '/q'] }, runtime: { pidsLimit: 2 } });
});

test.each([
  ['roof = "/a"', 'roof: there is no such setting'],
  ['[runtime]\npid_limit = 1', 'runtime.pid_limit: there is no such setting'],
  ['[nothing]\na = 1', 'nothing: there is no such setting'],
  ['root = "relative"', 'root: expected an absolute path, found "relative"'],
  ['root = 7', 'root: expected an absolute path, found 7'],
  ['log_level = "loud"', 'log_level: expected one of trace, debug, info, warn, error, fatal, found "loud"'],
  ['runtime = 1', 'runtime: expected a table, found 1'],
  ['[runtime]\npids_limit = -1', 'runtime.pids_limit: expected an integer from 0 to 4194304, found -1'],
  ['[runtime]\npids_limit = 1.5', 'runtime.pids_limit: expected an integer'],
  ['[runtime]\nallow_missing_controllers = "yes"', 'runtime.allow_missing_controllers: expected true or false'],
  ['[cni]\nbin_dirs = "/a"', 'cni.bin_dirs: expected a list of absolute paths'],
  ['[cni]\nbin_dirs = []', 'cni.bin_dirs: expected a list of absolute paths'],
  ['[cni]\nbin_dirs = ["/a", "b"]', 'cni.bin_dirs: expected a list of absolute paths'],
  ['[cni]\ndefault_subnets = ["10.1.0.0"]', 'cni.default_subnets: expected a list of subnets'],
  ['listen = "tcp://0.0.0.0:1"', 'listen: expected unix:///absolute/path'],
  ['metrics_address = "9090"', 'metrics_address: expected host:port, or empty'],
])('%j is refused with file, key and expectation', async (text, message) => {
  await writeFile(file, text);
  await expect(load()).rejects.toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining(`${file}: ${message}`) as string });
});

test('text that is not TOML is refused with line and column', async () => {
  await writeFile(file, 'root = "/a"\nstate = = 3\n');
  await expect(load()).rejects.toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining(`${file}:2:9: `) as string });
});

test('a file that was asked for must be there', async () => {
  await expect(load()).rejects.toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining('no such file') as string });
});
