import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { driverChecks } from './cgroup-driver.ts';

let there: string;
const hierarchy = { mountPoint: '/sys/fs/cgroup' };
const places = () => ({ runtime: there, bus: there, pidNamespace: join(there, 'namespace') });
const none = () => ({ ...places(), runtime: join(there, 'none') });

beforeAll(async () => {
  there = await mkdtemp(join(tmpdir(), 'berth-check-'));
  await symlink('pid:[4026531836]', join(there, 'namespace'));
});
afterAll(() => rm(there, { recursive: true }));

async function kubelet(text: string): Promise<string> {
  const file = join(there, 'config.yaml');
  await writeFile(file, text);
  return file;
}

test('the driver is named, with where it is from', async () => {
  const silent = join(there, 'missing.yaml');
  expect(await driverChecks('auto', hierarchy, places(), silent)).toEqual([
    { area: 'cgroup', name: 'cgroup driver', state: 'ok', found: 'systemd, found out', cost: '' },
  ]);
  expect(await driverChecks('cgroupfs', hierarchy, places(), silent)).toMatchObject([{ state: 'ok', found: 'cgroupfs, as configured' }]);
});

test('one that cannot work is missing, with why', async () => {
  const checks = await driverChecks('systemd', hierarchy, none(), '');
  expect(checks).toMatchObject([{ state: 'missing', found: 'systemd', cost: expect.stringMatching(/not the init/) as string }]);
});

test('a kubelet with another one is named', async () => {
  const same = await kubelet('apiVersion: kubelet.config.k8s.io/v1beta1\ncgroupDriver: systemd\n');
  expect(await driverChecks('auto', hierarchy, places(), same)).toMatchObject([{ state: 'ok' }, { state: 'ok', found: 'systemd' }]);
  const other = await driverChecks('auto', hierarchy, none(), same);
  expect(other).toMatchObject([{ state: 'ok', found: 'cgroupfs, found out' }, { state: 'limited', found: 'systemd', cost: expect.stringMatching(/Berth has cgroupfs/) as string }]);
  expect(await driverChecks('auto', hierarchy, places(), await kubelet('cgroupDriver: "cgroupfs"\n'))).toMatchObject([{}, { state: 'limited', found: 'cgroupfs' }]);
});
