import { expect, test } from 'vitest';
import { containerConfig, resources, security } from '../testing/requests.ts';
import { validateContainer } from './validate.ts';

const secured = (changes: Parameters<typeof security>[0]) => containerConfig({ linux: { resources: null, security_context: security(changes) } });
const limited = (changes: Parameters<typeof resources>[0]) => containerConfig({ linux: { resources: resources(changes), security_context: null } });
const image = { image: '', annotations: {}, user_specified_image: '', runtime_handler: '', image_ref: '' };
const env = (key: string, value: Buffer) => containerConfig({ envs: [{ key: 'OK', value: Buffer.from('ä') }, { key, value }] });
const profile = (profile_type: 'RuntimeDefault' | 'Unconfined' | 'Localhost') => ({ profile_type, localhost_ref: '' });

test('the environment becomes text, exactly', () => {
  const value = 'a=b\nc ä 😀';
  expect(validateContainer(env('N', Buffer.from(value))).envs).toEqual([{ key: 'OK', value: 'ä' }, { key: 'N', value }]);
});

test.each([
  ['the least', containerConfig({ linux: null, log_path: '' })],
  ['a nested log', containerConfig({ log_path: 'a/b..c/0.log' })],
  ['no seccomp', secured({ seccomp: profile('Unconfined') })],
  ['no seccomp, by its old name', secured({ seccomp_profile_path: 'unconfined' })],
  ['any profile for a privileged one', secured({ privileged: true, seccomp: profile('RuntimeDefault'), apparmor: profile('Localhost') })],
  ['limits', limited({ memory_limit_in_bytes: '1048576', oom_score_adj: '-1000' })],
])('%s is accepted', (_, config) => {
  expect(validateContainer(config)).toMatchObject({ metadata: { name: 'main' } });
});

test.each([
  ['config', null],
  ['config.metadata.name', containerConfig({ metadata: null })],
  ['config.metadata.name', containerConfig({ metadata: { name: '', attempt: 0 } })],
  ['config.image.image', containerConfig({ image: null })],
  ['config.image.image', containerConfig({ image })],
  ['config.log_path', containerConfig({ log_path: '/etc/shadow' })],
  ['config.log_path', containerConfig({ log_path: 'a/../../x' })],
  ['config.envs[1].key', env('', Buffer.from('x'))],
  ['config.envs[1].key', env('A=B', Buffer.from('x'))],
  ['config.envs[1].value', env('A', Buffer.from([0xff]))],
  ['config.envs[1].value', env('A', Buffer.from('a\0b'))],
  ['config.linux.resources.cpu_quota', limited({ cpu_quota: '1' })],
  ['config.linux.resources.oom_score_adj', limited({ oom_score_adj: '1001' })],
  ['config.linux.resources.oom_score_adj', limited({ oom_score_adj: '-1001' })],
])('%s is refused by its name', (field, config) => {
  expect(() => validateContainer(config)).toThrow(expect.objectContaining({ code: 'INVALID_FIELD', message: expect.stringContaining(`${field}: `) as string }));
});
