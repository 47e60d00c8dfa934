import { expect, test } from 'vitest';
import { capabilitySets, grantableCapabilities } from './capabilities.ts';

const all = new Set([
  'CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'FSETID', 'KILL', 'SETGID', 'SETUID', 'SETPCAP', 'NET_BIND_SERVICE', 'NET_RAW', 'SYS_CHROOT', 'MKNOD',
  'AUDIT_WRITE', 'SETFCAP', 'NET_ADMIN', 'SYS_ADMIN', 'SYS_TIME',
]);
const defaults = [...all].slice(0, 14).map((name) => `CAP_${name}`).toSorted();

function sets(add: string[], drop: string[], ambient: string[] = [], privileged = false) {
  return capabilitySets({ add_capabilities: add, drop_capabilities: drop, add_ambient_capabilities: ambient }, privileged, all, 'c');
}

const granted = (...given: Parameters<typeof sets>) => sets(...given).bounding.toSorted();

test('by default the set that everybody knows, and nothing inheritable or ambient', () => {
  const { bounding, effective, permitted, inheritable, ambient } = capabilitySets(null, false, all, 'c');
  expect(bounding.toSorted()).toEqual(defaults);
  expect([effective, permitted]).toEqual([bounding, bounding]);
  expect([inheritable, ambient]).toEqual([[], []]);
});

test.each<[string, string[], string[], string[]]>([
  ['add', ['NET_ADMIN'], [], [...defaults, 'CAP_NET_ADMIN']],
  ['add with prefix, in small letters', ['cap_net_admin'], [], [...defaults, 'CAP_NET_ADMIN']],
  ['drop', [], ['CHOWN', 'CAP_KILL'], defaults.filter((name) => name !== 'CAP_CHOWN' && name !== 'CAP_KILL')],
  ['drop wins over add', ['NET_ADMIN'], ['NET_ADMIN'], defaults],
  ['add ALL', ['ALL'], [], [...all].map((name) => `CAP_${name}`)],
  ['add ALL without one', ['all'], ['SYS_ADMIN'], [...all].filter((name) => name !== 'SYS_ADMIN').map((name) => `CAP_${name}`)],
  ['drop ALL', [], ['ALL'], []],
  ['drop ALL but one', ['KILL'], ['ALL'], ['CAP_KILL']],
  ['ALL on both sides', ['ALL', 'KILL'], ['ALL'], ['CAP_KILL']],
])('%s', (_, add, drop, expected) => {
  expect(granted(add, drop)).toEqual(expected.toSorted());
});

test('a privileged container has all there is, whatever it drops', () => {
  expect(granted([], ['ALL'], [], true)).toHaveLength(all.size);
});

test('ambient ones are in every set; dropped ones are not', () => {
  const { bounding, inheritable, ambient } = sets([], [], ['NET_ADMIN']);
  expect(bounding).toContain('CAP_NET_ADMIN');
  expect([inheritable, ambient]).toEqual([['CAP_NET_ADMIN'], ['CAP_NET_ADMIN']]);
  expect(sets([], ['NET_ADMIN'], ['NET_ADMIN']).ambient).toEqual([]);
});

test('names that Linux does not know, and those that berthd does not have, are refused', () => {
  expect(() => sets(['NET_ADMIN', 'FLY'], [])).toThrow('c.add_capabilities[1]');
  expect(() => sets([], ['CAP_'])).toThrow('c.drop_capabilities[0]');
  expect(() => sets(['SYS_BOOT'], [])).toThrow('SYS_BOOT cannot be given');
});

test('what may be handed on is read from the bounding set', async () => {
  for (const name of await grantableCapabilities()) expect(name).toMatch(/^[A-Z_]+$/);
});
