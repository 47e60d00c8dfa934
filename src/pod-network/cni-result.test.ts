import { expect, test } from 'vitest';

import { parseResult, resultAddresses } from './cni-result.ts';

test.each([
  ['0.2.0', { ip4: { ip: '10.1.2.3/24' }, ip6: { ip: 'fd00::3/64' } }],
  ['0.3.1', { interfaces: [{ name: 'eth0', sandbox: '/n' }], ips: [{ version: '4', address: '10.1.2.3/24', interface: 0 }, { version: '6', address: 'fd00::3/64' }] }],
  ['1.0.0', { interfaces: [{ name: 'br0' }, { name: 'eth0', sandbox: '/n' }], ips: [{ address: '10.1.2.3/24', interface: 1 }, { address: 'fd00::3/64', interface: 1 }] }],
  ['1.1.0', { ips: [{ address: '10.1.2.3/24' }, { address: 'fd00::3/64' }] }],
])('addresses of a %s result', (cniVersion, result) => {
  expect(resultAddresses({ cniVersion, ...result }, 'eth0')).toEqual(['10.1.2.3', 'fd00::3']);
});

test('addresses of other interfaces are not the pod\'s', () => {
  const result = {
    interfaces: [{ name: 'eth0' }, { name: 'net1', sandbox: '/n' }, { name: 'eth0', sandbox: '/n' }],
    ips: [{ address: '10.0.0.1/24', interface: 0 }, { address: '10.0.0.2/24', interface: 1 }, { address: '10.0.0.3/24', interface: 2 }, { address: '10.0.0.4/24', interface: 9 }],
  };
  expect(resultAddresses(result, 'eth0')).toEqual(['10.0.0.3']);
});

test('a result without a version gets the list\'s', () => {
  expect(parseResult('{"ips":[]}', '0.4.0')).toEqual({ ips: [], cniVersion: '0.4.0' });
  expect(parseResult('{"cniVersion":"0.3.1"}', '0.4.0')).toEqual({ cniVersion: '0.3.1' });
});
