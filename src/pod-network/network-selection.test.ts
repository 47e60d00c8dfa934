import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from 'vitest';

import type { Config } from '../config/config.ts';
import { createPodNetwork } from './create-pod-network.ts';
import type { PodNetwork } from './pod-network.ts';
import { Fixture, podRequest } from './testing/fixture.ts';

const never = new AbortController().signal;
let fixture: Fixture;
let networks: PodNetwork[];

beforeEach(() => {
  fixture = new Fixture();
  networks = [];
  fixture.plugin('only');
});

afterEach(async () => {
  await Promise.all(networks.map((network) => network.close()));
  fixture.remove();
});

async function open(overrides: Partial<Config['cni']> = {}): Promise<PodNetwork> {
  const network = await createPodNetwork({ config: fixture.config(overrides), log: fixture.log, ownPluginDir: fixture.ownDir });
  networks.push(network);
  return network;
}

/** Waits for a change that the directory watch brings; only a missing change makes the test time out. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10));
}

function networkName(network: PodNetwork): unknown {
  return (network.describe() as { network: unknown }).network;
}

test('without a configuration and without the built-in network it is not ready, and set-up says so', async () => {
  const network = await open();
  expect(network.status()).toEqual({ ready: false, reason: 'NetworkConfigMissing', message: `no CNI configuration in ${fixture.confDir}` });
  await expect(network.setUp(podRequest(), never)).rejects.toMatchObject({ code: 'NETWORK_NOT_READY' });
});

test('the first valid file in lexical order wins, and status names the invalid one before it', async () => {
  fixture.conf('00-broken.conflist', '{');
  fixture.conf('05-ignored.yaml', 'x');
  fixture.conflist('20-later', ['only']);
  fixture.conf('10-single.conf', { cniVersion: '0.4.0', name: 'single', type: 'only' });
  const network = await open();
  expect(networkName(network)).toBe('single');
  const status = network.status();
  expect(status.ready).toBe(true);
  expect(status.message).toContain(join(fixture.confDir, '00-broken.conflist'));
  expect(network.describe()).toMatchObject({ cniVersion: '0.4.0', plugins: ['only'], file: join(fixture.confDir, '10-single.conf'), origin: 'node' });
});

test.each([
  ['no name', { cniVersion: '1.0.0', plugins: [{ type: 'only' }] }, /no "name"/],
  ['a bad name', { cniVersion: '1.0.0', name: '../x', plugins: [{ type: 'only' }] }, /"name" ".*" must match/],
  ['no plugins', { cniVersion: '1.0.0', name: 'net', plugins: [] }, /"plugins" must be a list/],
  ['an old version', { cniVersion: '0.2.0', name: 'net', plugins: [{ type: 'only' }] }, /"cniVersion" "0.2.0"; versions 0.3.0 to 1.1.0/],
  ['a future version', { cniVersion: '2.0.0', name: 'net', plugins: [{ type: 'only' }] }, /"cniVersion" "2.0.0"/],
  ['no version', { name: 'net', plugins: [{ type: 'only' }] }, /no "cniVersion"/],
  ['a path as type', { cniVersion: '1.0.0', name: 'net', plugins: [{ type: '../../bin/sh' }] }, /plugins\[0\]\.type ".*" must be a plain file name/],
])('a file with %s is refused by name', async (_case, content, message) => {
  fixture.conf('10-net.conflist', content);
  const status = (await open()).status();
  expect(status).toMatchObject({ ready: false, reason: 'NetworkConfigInvalid' });
  expect(status.message).toContain('10-net.conflist');
  expect(status.message).toMatch(message);
});

test('of cniVersions the newest that is known is spoken', async () => {
  fixture.conflist('10-net', ['only'], { cniVersion: '0.4.0', cniVersions: ['0.4.0', '1.0.0', '9.9.9'] });
  expect((await open()).describe()).toMatchObject({ cniVersion: '1.0.0' });
});

test('a missing plugin, or IPAM plugin, is named; installing it makes the network ready', async () => {
  fixture.conflist('10-net', ['only', { type: 'absent', ipam: { type: 'no-ipam' } }]);
  const network = await open();
  expect(network.status()).toMatchObject({ ready: false, reason: 'NetworkPluginMissing' });
  expect(network.status().message).toContain('no plugin absent, no-ipam in');
  fixture.plugin('absent');
  fixture.plugin('no-ipam');
  await until(() => network.status().ready);
  await network.setUp(podRequest(), never);
});

test('the directory may be absent at start, appear, be replaced and be removed', async () => {
  const confDir = join(fixture.directory, 'etc/cni/net.d');
  const network = await open({ confDir });
  expect(network.status().ready).toBe(false);

  mkdirSync(confDir, { recursive: true });
  writeFileSync(join(confDir, '10-a.conf'), JSON.stringify({ cniVersion: '1.0.0', name: 'a', type: 'only' }));
  await until(() => networkName(network) === 'a');

  const next = join(fixture.directory, 'etc/cni/next');
  mkdirSync(next);
  writeFileSync(join(next, '10-b.conf'), JSON.stringify({ cniVersion: '1.0.0', name: 'b', type: 'only' }));
  renameSync(confDir, join(fixture.directory, 'etc/cni/old'));
  renameSync(next, confDir);
  await until(() => networkName(network) === 'b');

  writeFileSync(join(confDir, '05-c.conf'), JSON.stringify({ cniVersion: '1.0.0', name: 'c', type: 'only' }));
  await until(() => networkName(network) === 'c');

  rmSync(join(fixture.directory, 'etc'), { recursive: true });
  await until(() => !network.status().ready);
  expect(network.status().reason).toBe('NetworkConfigMissing');

  mkdirSync(confDir, { recursive: true });
  writeFileSync(join(confDir, '10-d.conf'), JSON.stringify({ cniVersion: '1.0.0', name: 'd', type: 'only' }));
  await until(() => networkName(network) === 'd');
});

test('the built-in network prefers the own plugin and never writes into the node\'s directory', async () => {
  fixture.plugin('berth-net', undefined, fixture.ownDir);
  const network = await open({ defaultNetwork: true });
  expect(network.status().ready).toBe(true);
  const file = join(fixture.directory, 'state/cni/net.d/10-berth.conflist');
  expect(network.describe()).toMatchObject({ network: 'berth', plugins: ['berth-net'], origin: 'built-in', file });
  const plugin = { type: 'berth-net', bridge: 'berth0', subnets: ['10.88.0.0/16'], dataDir: join(fixture.directory, 'root/network/berth-net'), masquerade: true };
  expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ cniVersion: '1.0.0', name: 'berth', plugins: [plugin] });
  expect(existsSync(join(fixture.confDir, '10-berth.conflist'))).toBe(false);
});

test('the built-in network falls back to the standard plugins, and says what is missing without them', async () => {
  const network = await open({ defaultNetwork: true, defaultSubnets: ['10.77.3.9/24', 'fd77::/64'] });
  expect(network.status()).toMatchObject({ ready: false, reason: 'NetworkPluginMissing' });
  expect(network.status().message).toContain('the built-in network needs berth-net in');
  for (const name of ['bridge', 'host-local', 'portmap']) fixture.plugin(name);
  await until(() => network.status().ready);
  await network.setUp(podRequest(), never);
  expect(fixture.order()).toEqual(['bridge ADD', 'portmap ADD']);
  expect(fixture.calls()[0]?.input['ipam']).toEqual({
    type: 'host-local',
    dataDir: join(fixture.directory, 'root/network/host-local'),
    ranges: [[{ subnet: '10.77.3.0/24' }], [{ subnet: 'fd77::/64' }]],
    routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }],
  });
});

test('a configuration of the node takes over from the built-in network, which keeps its pods', async () => {
  fixture.plugin('berth-net', undefined, fixture.ownDir);
  const network = await open({ defaultNetwork: true });
  await network.setUp(podRequest(), never);
  fixture.conflist('10-net', ['only']);
  await until(() => networkName(network) === '10-net');
  const second = podRequest({ sandboxId: 'c'.repeat(64) });
  await network.setUp(second, never);
  await network.tearDown(podRequest(), never);
  await network.tearDown(second, never);
  expect(fixture.order()).toEqual(['berth-net ADD', 'only ADD', 'berth-net DEL', 'only DEL']);

  rmSync(join(fixture.confDir, '10-net.conflist'));
  await until(() => networkName(network) === null);
  expect(network.status().message).toContain('10-net.conflist was removed');
});

test('the pod CIDR feeds ipRanges and the built-in network, and survives a restart', async () => {
  fixture.plugin('berth-net', undefined, fixture.ownDir);
  const first = await open({ defaultNetwork: true });
  await first.setPodCidr('');
  await first.setPodCidr('10.44.0.0/24,fd44::/64');
  const network = await open({ defaultNetwork: true });
  await network.setUp(podRequest(), never);
  expect(fixture.calls()[0]?.input).toMatchObject({
    subnets: ['10.44.0.0/24', 'fd44::/64'],
    runtimeConfig: { ipRanges: [[{ subnet: '10.44.0.0/24' }], [{ subnet: 'fd44::/64' }]] },
  });
});

test.each(['10.44.0.0', '10.44.0.0/33', 'x', '10.1.0.0/24,10.2.0.0/24', 'fd00::/64,fd01::/64', '10.1.0.0/24,'])('pod CIDR %s is refused', async (cidr) => {
  const network = await open();
  await expect(network.setPodCidr(cidr)).rejects.toMatchObject({
    code: 'INVALID_FIELD',
    message: expect.stringMatching(/^runtime_config\.network_config\.pod_cidr: /) as string,
  });
});

test('STATUS of CNI 1.1 plugins decides readiness; older networks are not asked', async () => {
  fixture.plugin('sick', 'if [ $CNI_COMMAND = STATUS ]; then echo \'{"code":50,"msg":"no agent"}\'; exit 1; fi');
  fixture.plugin('old', 'if [ $CNI_COMMAND = STATUS ]; then echo \'{"code":4,"msg":"unknown CNI_COMMAND: STATUS"}\'; exit 1; fi');
  fixture.conflist('10-net', ['old', 'sick'], { cniVersion: '1.1.0' });
  const network = await open();
  await until(() => network.status().reason === 'NetworkPluginNotReady');
  expect(network.status().message).toContain('plugin sick STATUS: no agent (CNI error code 50)');
  fixture.conflist('10-net', ['old', 'only'], { cniVersion: '1.1.0' });
  await until(() => network.status().ready);
  const asked = fixture.calls().length;
  fixture.conflist('10-net', ['only'], { cniVersion: '1.0.0' });
  await until(() => (network.describe() as { cniVersion: unknown }).cniVersion === '1.0.0');
  expect(network.status().ready).toBe(true);
  expect(fixture.calls().length).toBe(asked);
});
