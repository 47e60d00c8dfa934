import { describe, expect, test } from 'vitest';
import type { SecurityProfile__Output } from '../../cri-server/generated/runtime/v1/SecurityProfile.ts';
import { appArmorChoice, seccompChoice } from './profile-choice.ts';

type Type = SecurityProfile__Output['profile_type'];

const profile = (profile_type: Type, localhost_ref = ''): SecurityProfile__Output => ({ profile_type, localhost_ref });
const seccomp = (seccomp: SecurityProfile__Output | null, seccomp_profile_path = '', privileged = false) =>
  seccompChoice({ seccomp, seccomp_profile_path, privileged }, 'ctx');
const appArmor = (apparmor: SecurityProfile__Output | null, apparmor_profile = '', privileged = false) =>
  appArmorChoice({ apparmor, apparmor_profile, privileged }, 'ctx');

describe('seccomp', () => {
  test.each([
    [null, '', { kind: 'unconfined' }],
    [null, 'unconfined', { kind: 'unconfined' }],
    [null, 'runtime/default', { kind: 'default' }],
    [null, 'docker/default', { kind: 'default' }],
    [null, 'localhost//etc/p.json', { kind: 'localhost', name: '/etc/p.json', field: 'ctx.seccomp_profile_path' }],
    [profile('RuntimeDefault'), 'unconfined', { kind: 'default' }],
    [profile('Unconfined'), 'runtime/default', { kind: 'unconfined' }],
    [profile('Localhost', '/p.json'), '', { kind: 'localhost', name: '/p.json', field: 'ctx.seccomp.localhost_ref' }],
  ])('%j beside %j', (structured, path, choice) => {
    expect(seccomp(structured, path)).toEqual(choice);
  });

  test('a privileged container has none', () => {
    expect(seccomp(profile('Localhost', '/p.json'), '', true)).toEqual({ kind: 'unconfined' });
  });

  test('no security context, no filter', () => {
    expect(seccompChoice(null, 'ctx')).toEqual({ kind: 'unconfined' });
  });

  test.each([
    [profile('Localhost'), '', 'ctx.seccomp.localhost_ref: is empty'],
    [profile('Localhost', 'p.json'), '', 'ctx.seccomp.localhost_ref: "p.json" is not the absolute path'],
    [profile('Localhost', '../p.json'), '', 'ctx.seccomp.localhost_ref'],
    [profile('RuntimeDefault', '/p.json'), '', 'ctx.seccomp.localhost_ref: must be empty'],
    [null, 'localhost/p.json', 'ctx.seccomp_profile_path: "p.json" is not the absolute path'],
    [null, 'localhost/', 'ctx.seccomp_profile_path'],
    [null, 'default', 'ctx.seccomp_profile_path: "default" is not'],
  ])('%j beside %j is refused', (structured, path, message) => {
    expect(() => seccomp(structured, path)).toThrow(expect.objectContaining({ code: 'INVALID_FIELD', message: expect.stringContaining(message) }));
  });

  test('what is wrong is wrong in a privileged container, too', () => {
    expect(() => seccomp(profile('Localhost'), '', true)).toThrow(/localhost_ref/);
  });
});

describe('AppArmor', () => {
  test.each([
    [null, '', { kind: 'default' }],
    [null, 'runtime/default', { kind: 'default' }],
    [null, 'unconfined', { kind: 'unconfined' }],
    [null, 'localhost/mine', { kind: 'localhost', name: 'mine', field: 'ctx.apparmor_profile' }],
    [profile('Unconfined'), 'localhost/mine', { kind: 'unconfined' }],
    [profile('Localhost', 'localhost/mine'), '', { kind: 'localhost', name: 'mine', field: 'ctx.apparmor.localhost_ref' }],
    [profile('Localhost', 'mine//child'), '', { kind: 'localhost', name: 'mine//child', field: 'ctx.apparmor.localhost_ref' }],
  ])('%j beside %j', (structured, deprecated, choice) => {
    expect(appArmor(structured, deprecated)).toEqual(choice);
  });

  test('a privileged container has the profile that it names, and no other', () => {
    expect(appArmor(profile('RuntimeDefault'), '', true)).toEqual({ kind: 'unconfined' });
    expect(appArmor(null, '', true)).toEqual({ kind: 'unconfined' });
    expect(appArmor(profile('Localhost', 'mine'), '', true)).toMatchObject({ kind: 'localhost' });
  });

  test('no security context, the default profile', () => {
    expect(appArmorChoice(null, 'ctx')).toEqual({ kind: 'default' });
  });

  test.each([
    [profile('Localhost'), ''],
    [profile('Localhost', 'localhost/'), ''],
    [profile('Localhost', 'two words'), ''],
    [profile('Localhost', 'line\nbreak'), ''],
    [profile('Localhost', 'x'.repeat(513)), ''],
    [profile('Unconfined', 'mine'), ''],
    [null, 'mine'],
    [null, 'localhost/'],
  ])('%j beside %j is refused', (structured, deprecated) => {
    expect(() => appArmor(structured, deprecated)).toThrow(expect.objectContaining({ code: 'INVALID_FIELD' }));
  });
});
