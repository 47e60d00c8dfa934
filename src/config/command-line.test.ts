import { expect, test } from 'vitest';
import { helpText, parseCommandLine } from './command-line.ts';

test('no flags: run with the defaults', () => {
  expect(parseCommandLine([])).toEqual({ action: 'run', overrides: new Map() });
});

test('every flag sets its setting', () => {
  const flags = {
    root: '/r', state: '/s', listen: 'unix:///s/b.sock', 'cni-conf-dir': '/c', 'registry-config-dir': '/g',
    'stream-address': '[::1]:0', 'metrics-address': '0.0.0.0:9', 'nri-socket': '/n', 'log-level': 'debug',
  };
  const args = Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, value]);
  const command = parseCommandLine([...args, '--cni-bin-dir', '/a', '--cni-bin-dir=/b', '--allow-missing-controllers', '--config', '/x']);
  expect(command).toEqual({
    action: 'run',
    configFile: '/x',
    overrides: new Map<string, unknown>([
      ['root', '/r'], ['state', '/s'], ['listen', 'unix:///s/b.sock'], ['log_level', 'debug'],
      ['stream_address', '[::1]:0'], ['metrics_address', '0.0.0.0:9'], ['nri_socket', '/n'],
      ['cni.conf_dir', '/c'], ['cni.bin_dirs', ['/a', '/b']], ['registry.config_dir', '/g'],
      ['runtime.allow_missing_controllers', true],
    ]),
  });
});

test.each([[['--help'], 'help'], [['-h'], 'help'], [['--version'], 'version'], [['--root', '/a', '--help'], 'help']])(
  '%j: %s', (args, action) => expect(parseCommandLine(args)).toEqual({ action }),
);

test.each([
  [['--nonsense'], '--nonsense'],
  [['--root'], '--root'],
  [['--root', 'relative'], '--root: expected an absolute path'],
  [['--log-level', 'loud'], '--log-level: expected one of'],
  [['stray'], 'stray'],
])('%j is refused, naming it', (args, part) => {
  expect(() => parseCommandLine(args)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining(part) as string }));
});

test('the help names every flag of the contract with the operator', () => {
  for (const flag of [
    '--config FILE', '--root DIR', '--state DIR', '--listen unix://PATH', '--cni-conf-dir DIR', '--cni-bin-dir DIR',
    '--registry-config-dir DIR', '--stream-address HOST:PORT', '--metrics-address HOST:PORT', '--nri-socket PATH',
    '--log-level LEVEL', '--allow-missing-controllers', '--help', '--version',
  ]) {
    expect(helpText()).toContain(`  ${flag} `);
  }
});
