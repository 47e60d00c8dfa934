import { describe, expect, test } from 'vitest';
import { checkRequest } from './request-check.ts';

function problem(type: string, request: object): string {
  try {
    checkRequest(type, request);
  } catch (error) {
    return (error as Error).message;
  }
  return 'nothing';
}

describe('NUL', () => {
  test.each([
    ['StopPodSandboxRequest', { pod_sandbox_id: 'a\0b' }, 'pod_sandbox_id'],
    ['ExecSyncRequest', { cmd: ['a', 'b\0'] }, 'cmd[1]'],
    ['CreateContainerRequest', { config: { envs: [{ key: 'A', value: Buffer.from('x\0') }] } }, 'config.envs[0].value'],
    ['CreateContainerRequest', { config: { mounts: [{ host_path: '/\0' }] } }, 'config.mounts[0].host_path'],
    ['RunPodSandboxRequest', { config: { labels: { 'a\0': 'b' } } }, String.raw`config.labels["a\u0000"]`],
    ['RunPodSandboxRequest', { config: { linux: { sysctls: { a: '\0' } } } }, 'config.linux.sysctls["a"]'],
  ])('in %s is refused with the path', (type, request, path) => {
    expect(problem(type, request)).toMatch(/contains a NUL/);
    expect(problem(type, request)).toContain(`${path}: `);
  });

  test('what has none passes', () => {
    const request = { config: { envs: [{ key: 'A', value: Buffer.from('é') }], labels: { a: '' }, linux: null } };
    expect(problem('CreateContainerRequest', request)).toBe('nothing');
  });
});

describe('enums', () => {
  test('a number without a name is refused', () => {
    const request = { config: { port_mappings: [{ protocol: 'TCP' }, { protocol: 7, container_port: 80 }] } };
    expect(problem('RunPodSandboxRequest', request)).toBe(
      'config.port_mappings[1].protocol: 7 is not a value of Protocol',
    );
  });

  test('a nested enum too', () => {
    const seccomp = { profile_type: 9, localhost_ref: '' };
    expect(problem('RunPodSandboxRequest', { config: { linux: { security_context: { seccomp } } } })).toMatch(
      /^config\.linux\.security_context\.seccomp\.profile_type: 9 /,
    );
  });
});

describe('ids', () => {
  const withId = (context: object): string =>
    problem('CreateContainerRequest', { config: { linux: { security_context: context } } });

  test.each(['4294967296', '4294967295', '-1', '9223372036854775807'])('%s is no user id', (value) => {
    expect(withId({ run_as_user: { value } })).toMatch(/run_as_user: .* is not between 0 and 4294967294/);
    expect(withId({ run_as_group: { value } })).toMatch(/run_as_group: /);
    expect(withId({ supplemental_groups: ['1', value] })).toMatch(/supplemental_groups\[1\]: /);
  });

  test('0 and 4294967294 are', () => {
    expect(withId({ run_as_user: { value: '0' }, supplemental_groups: ['4294967294'] })).toBe('nothing');
  });
});
