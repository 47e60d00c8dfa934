import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openAppArmor } from './apparmor.ts';
import type { AppArmor } from './apparmor.ts';

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'berth-apparmor-'));
  await mkdir(join(directory, 'kernel'));
  await writeFile(join(directory, 'policy'), 'POLICY');
});

afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

const at = (name: string) => join(directory, name);
const localhost = (name: string) => ({ kind: 'localhost', name, field: 'the.field' }) as const;

async function machine(state: { readonly enabled: string; readonly profiles?: string; readonly takesPolicy?: boolean }): Promise<AppArmor> {
  await writeFile(at('enabled'), state.enabled);
  if (state.profiles !== undefined) await writeFile(at('kernel/profiles'), state.profiles);
  if (state.takesPolicy !== false) await writeFile(at('kernel/.replace'), '');
  return openAppArmor({ policy: at('policy'), log: pino({ level: 'silent' }), paths: { enabled: at('enabled'), directory: at('kernel') } });
}

test('without AppArmor the default profile is none, and a named one is refused', async () => {
  const none = await machine({ enabled: 'N\n' });
  expect(none.enabled).toBe(false);
  expect(await none.profile({ kind: 'default' })).toBeUndefined();
  expect(await none.profile({ kind: 'unconfined' })).toBeUndefined();
  await expect(none.profile(localhost('mine'))).rejects.toThrow(
    expect.objectContaining({ code: 'INVALID_FIELD', message: 'the.field: AppArmor profile "mine" cannot be used: this node has no AppArmor' }),
  );
  expect(await readFile(at('kernel/.replace'), 'utf8')).toBe('');
});

test('the default profile is loaded once', async () => {
  const appArmor = await machine({ enabled: 'Y\n', profiles: 'berth-default (enforce)\n' });
  expect(await readFile(at('kernel/.replace'), 'utf8')).toBe('POLICY');
  await writeFile(at('kernel/.replace'), '');
  expect(await appArmor.profile({ kind: 'default' })).toBe('berth-default');
  expect(await readFile(at('kernel/.replace'), 'utf8')).toBe('');
});

test('and again when somebody has removed it', async () => {
  const appArmor = await machine({ enabled: 'Y', profiles: 'other (enforce)\n' });
  await writeFile(at('kernel/.replace'), '');
  expect(await appArmor.profile({ kind: 'default' })).toBe('berth-default');
  expect(await readFile(at('kernel/.replace'), 'utf8')).toBe('POLICY');
});

test('a kernel that does not take the profile gets no container that asks for it', async () => {
  const appArmor = await machine({ enabled: 'Y', profiles: '', takesPolicy: false });
  await expect(appArmor.profile({ kind: 'default' })).rejects.toThrow(
    expect.objectContaining({ code: 'HOST_UNSUITABLE', message: expect.stringContaining('berth-default cannot be loaded: ENOENT') }),
  );
  expect(await appArmor.profile({ kind: 'unconfined' })).toBeUndefined();
});

test('a named profile must be loaded, in whatever mode', async () => {
  const appArmor = await machine({ enabled: 'Y', profiles: 'mine (complain)\nmine//child (enforce)\nwith (brackets) (enforce)\n' });
  expect(await appArmor.profile(localhost('mine'))).toBe('mine');
  expect(await appArmor.profile(localhost('mine//child'))).toBe('mine//child');
  expect(await appArmor.profile(localhost('with (brackets)'))).toBe('with (brackets)');
  for (const name of ['min', 'mine (complain)', 'child', 'with']) {
    await expect(appArmor.profile(localhost(name))).rejects.toThrow(`the.field: AppArmor profile "${name}" is not loaded on this node`);
  }
});

test('without securityfs nobody knows', async () => {
  const appArmor = await machine({ enabled: 'Y' });
  await expect(appArmor.profile(localhost('mine'))).rejects.toThrow(expect.objectContaining({ code: 'HOST_UNSUITABLE' }));
});
