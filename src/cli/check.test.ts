import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { report } from './check.ts';
import { hierarchyChecks } from './checks/cgroup.ts';
import type { Check } from './checks/check.ts';
import { kernelFeatureChecks } from './checks/kernel.ts';
import { networkChecks, pluginTypes } from './checks/network.ts';
import { effectiveCapabilities } from './checks/privileges.ts';

const states = (checks: readonly Check[]) => Object.fromEntries(checks.map(({ name, state }) => [name, state]));

describe('kernel', () => {
  test.each(['6.18.44-x', '5.19.0', '10.0'])('%s has everything', (kernel) => {
    expect(new Set(kernelFeatureChecks(kernel).map(({ state }) => state))).toEqual(new Set(['ok']));
  });

  test('5.10 lacks cgroup.kill, which is needed, and id-mapped mounts, which are not', () => {
    const checks = kernelFeatureChecks('5.10.0-30-amd64');
    expect(states(checks)).toMatchObject({
      'volatile overlay': 'ok', 'cgroup.kill': 'missing', 'id-mapped mounts': 'limited', close_range: 'ok',
    });
    expect(checks.find(({ name }) => name === 'cgroup.kill')?.cost).toContain('5.14');
  });

  test('a version that cannot be read has nothing', () => {
    expect(states(kernelFeatureChecks('unknown'))).toMatchObject({ openat2: 'missing' });
  });
});

describe('cgroup', () => {
  const all = ['cpu', 'cpuset', 'io', 'memory', 'pids', 'hugetlb'];
  const at = (mountPoint: string, controllers: string[]) => ({ mountPoint, controllers: new Set(controllers), missing: [] });

  test('a unified host with all controllers is fine', () => {
    expect(new Set(hierarchyChecks(at('/sys/fs/cgroup', all), false).map(({ state }) => state))).toEqual(new Set(['ok']));
  });

  test('a hybrid host lacks what v1 holds, unless that is allowed', () => {
    const hybrid = at('/sys/fs/cgroup/unified', ['hugetlb']);
    expect(states(hierarchyChecks(hybrid, false))).toMatchObject({ 'cgroup v2': 'limited', 'controller memory': 'missing', 'controller hugetlb': 'ok' });
    expect(states(hierarchyChecks(hybrid, true))).toMatchObject({ 'controller memory': 'limited' });
  });
});

test('capabilities are read from CapEff', () => {
  expect(effectiveCapabilities('CapPrm:\t0\nCapEff:\t000001fffeffffff\nCapBnd:\t0\n')).toBe(0x1fffeffffffn);
  expect(effectiveCapabilities('nothing')).toBe(0n);
});

describe('network', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'berth-check-'));
    await mkdir(join(directory, 'conf'));
    await mkdir(join(directory, 'bin'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  const check = (defaultNetwork = true) =>
    networkChecks(
      { confDir: join(directory, 'conf'), binDirs: [join(directory, 'bin')], netnsDir: '/run/netns', defaultNetwork, defaultSubnets: [], timeoutSeconds: 1 },
      join(directory, 'bin/berth-net'),
    );
  const plugin = async (name: string, mode = 0o755) => {
    await writeFile(join(directory, 'bin', name), '');
    await chmod(join(directory, 'bin', name), mode);
  };
  const list = { name: 'n', plugins: [{ type: 'bridge', ipam: { type: 'host-local' } }, { type: 'portmap' }] };

  test('the plugins of the first file must be there and executable', async () => {
    await writeFile(join(directory, 'conf/10-a.conflist'), JSON.stringify(list));
    await writeFile(join(directory, 'conf/20-b.conflist'), 'broken');
    await plugin('bridge');
    await plugin('host-local', 0o644);
    expect(states(await check())).toEqual({
      'CNI configuration': 'ok', 'CNI plugin bridge': 'ok', 'CNI plugin host-local': 'missing', 'CNI plugin portmap': 'missing',
    });
  });

  test('a first file that is broken is named', async () => {
    await writeFile(join(directory, 'conf/10-a.conflist'), '{');
    const [first] = await check();
    expect(first).toMatchObject({ state: 'missing', found: expect.stringContaining('10-a.conflist: ') as string });
  });

  test("no configuration: berthd's own network counts when it can work", async () => {
    expect(states(await check())).toEqual({ 'CNI configuration': 'limited' });
    await plugin('berth-net');
    expect(await check()).toMatchObject([{ state: 'ok', found: expect.stringContaining('berth-net') as string }]);
    expect(states(await check(false))).toEqual({ 'CNI configuration': 'limited' });
  });

  test('the standard plugins do as well, all of them', async () => {
    await plugin('bridge');
    await plugin('host-local');
    expect(states(await check())).toEqual({ 'CNI configuration': 'limited' });
    await plugin('portmap');
    expect(states(await check())).toEqual({ 'CNI configuration': 'ok' });
  });

  test('types are read from lists and from single configurations', () => {
    expect(pluginTypes(JSON.stringify(list))).toEqual(['bridge', 'host-local', 'portmap']);
    expect(pluginTypes('{"type":"ptp"}')).toEqual(['ptp']);
    expect(() => pluginTypes('{"plugins":[]}')).toThrow('names no plugin');
    expect(() => pluginTypes('[]')).toThrow('not a CNI configuration');
  });
});

test('the report aligns its columns and ends with a sum', () => {
  const check = (name: string, state: Check['state'], cost: string): Check => ({ area: 'kernel', name, state, found: 'f', cost });
  expect(report([check('a', 'ok', ''), check('longer', 'missing', 'much')])).toBe(
    ['AREA    WHAT    STATE    FOUND', 'kernel  a       ok       f', 'kernel  longer  MISSING  f — much', '', '1 ok, 0 limited, 1 missing', ''].join('\n'),
  );
});
