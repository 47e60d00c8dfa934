import { pino } from 'pino';
import { expect, test } from 'vitest';
import { checkSelinuxOptions } from './selinux.ts';

const log = pino({ level: 'silent' });
const options = (changes = {}) => ({ user: '', role: '', type: '', level: '', ...changes });

test('without SELinux its options have no effect', () => {
  expect(() => checkSelinuxOptions(options({ user: 'system_u', role: 'system_r', type: 'spc_t', level: 's0:c1,c2' }), 'f', false, log)).not.toThrow();
});

test('with SELinux only empty options can be honoured', () => {
  expect(() => checkSelinuxOptions(options(), 'f', true, log)).not.toThrow();
  expect(() => checkSelinuxOptions(null, 'f', true, log)).not.toThrow();
  expect(() => checkSelinuxOptions(options({ type: 'spc_t' }), 'f', true, log)).toThrow(expect.objectContaining({ code: 'NOT_IMPLEMENTED', message: expect.stringContaining('f: ') as string }));
});

test.each([['type', 'a:b'], ['user', 'a b'], ['role', '../x'], ['level', 's0\nx'], ['type', 'x'.repeat(256)]])('%s "%s" is refused by its name', (part, value) => {
  expect(() => checkSelinuxOptions(options({ [part]: value }), 'f', false, log)).toThrow(expect.objectContaining({ code: 'INVALID_FIELD', message: expect.stringContaining(`f.${part}: `) as string }));
});
