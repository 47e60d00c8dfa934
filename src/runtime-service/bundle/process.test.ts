import { expect, test } from 'vitest';
import { imageConfig, security, storedConfig } from '../testing/requests.ts';
import { bundleUser, processArgs, processEnv, workingDirectory } from './process.ts';

// The four ways of the image spec's Entrypoint and Cmd with the CRI's command and args.
test.each<[string[], string[], string[], string[], string[]]>([
  [[], [], ['/entry'], ['serve'], ['/entry', 'serve']],
  [[], ['x'], ['/entry'], ['serve'], ['/entry', 'x']],
  [['cmd'], [], ['/entry'], ['serve'], ['cmd']],
  [['cmd'], ['x'], ['/entry'], ['serve'], ['cmd', 'x']],
  [[], [], [], ['serve'], ['serve']],
  [[], ['x'], [], ['serve'], ['x']],
  [[], [], ['/entry'], [], ['/entry']],
])('command %j, args %j over entrypoint %j, cmd %j run %j', (command, args, entrypoint, cmd, expected) => {
  expect(processArgs(storedConfig({ command, args }), imageConfig({ entrypoint, cmd }))).toEqual(expected);
});

test('nothing to run is refused', () => {
  expect(() => processArgs(storedConfig(), imageConfig({ entrypoint: [], cmd: [] }))).toThrow(expect.objectContaining({ code: 'INVALID_FIELD' }));
});

test('the last value of a name counts, and keeps its equals signs', () => {
  const config = storedConfig({ tty: true, envs: [{ key: 'A', value: 'request=1' }, { key: 'E', value: '' }] });
  expect(processEnv(config, imageConfig({ env: ['A=image', 'PATH=/image', 'B=2'] }), 'host')).toEqual([
    'PATH=/image', 'HOSTNAME=host', 'TERM=xterm', 'A=request=1', 'B=2', 'E=',
  ]);
  expect(processEnv(storedConfig(), imageConfig(), 'h')[0]).toMatch(/^PATH=.*\/bin$/);
});

test('the working directory is the request\'s, the image\'s, or the root; and absolute', () => {
  expect(workingDirectory(storedConfig({ working_dir: '/r' }), imageConfig({ workingDir: '/i' }))).toBe('/r');
  expect(workingDirectory(storedConfig(), imageConfig({ workingDir: '/i' }))).toBe('/i');
  expect(workingDirectory(storedConfig(), imageConfig())).toBe('/');
  expect(() => workingDirectory(storedConfig({ working_dir: '../x' }), imageConfig())).toThrow('config.working_dir');
});

const user = (changes: Parameters<typeof security>[0], image = '') => bundleUser(security(changes), imageConfig({ user: image }));

test('who it runs as: the request\'s id or name, else the image\'s', () => {
  expect(user({ run_as_user: { value: '0' }, run_as_group: { value: '5' } }, '7:8')).toEqual({ spec: '0', group: 5, supplementalGroups: [], policy: 'merge' });
  expect(user({ run_as_username: 'web', supplemental_groups: ['1', '4294967294'] }, 'img').supplementalGroups).toEqual([1, 4294967294]);
  expect(user({ run_as_username: 'web' }, 'img').spec).toBe('web');
  expect(user({ supplemental_groups_policy: 'Strict' }, 'img:grp')).toEqual({ spec: 'img:grp', group: -1, supplementalGroups: [], policy: 'strict' });
  expect(bundleUser(null, imageConfig({ user: '' })).spec).toBe('');
});

test.each<[Parameters<typeof security>[0], string]>([
  [{ run_as_group: { value: '5' } }, 'run_as_group'],
  [{ run_as_user: { value: '1' }, run_as_username: 'x' }, 'run_as_username'],
  [{ run_as_username: 'x:0' }, 'run_as_username'],
  [{ run_as_user: { value: '4294967296' } }, 'run_as_user'],
  [{ run_as_user: { value: '4294967295' } }, 'run_as_user'],
  [{ run_as_user: { value: '-1' } }, 'run_as_user'],
  [{ run_as_user: { value: '1' }, run_as_group: { value: '4294967296' } }, 'run_as_group'],
  [{ supplemental_groups: ['1', '4294967296'] }, 'supplemental_groups[1]'],
])('%j is refused', (changes, field) => {
  expect(() => user(changes)).toThrow(expect.objectContaining({ code: 'INVALID_FIELD', message: expect.stringContaining(`${field}: `) as string }));
});
