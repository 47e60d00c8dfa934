import { expect, test } from 'vitest';
import { expectCode, useStage } from '../harness/stage.ts';

const stage = useStage();

test('Version names Berth and the API it speaks', async () => {
  expect(await stage.cri.call('Version', { version: 'v1' })).toEqual({
    version: '0.1.0',
    runtime_name: 'berth',
    runtime_version: expect.stringMatching(/^\d+\.\d+\.\d+$/),
    runtime_api_version: 'v1',
  });
});

test('Status says that runtime and network are ready', async () => {
  const { status, runtime_handlers, features, info } = await stage.cri.call('Status', {});
  const condition = (wanted: string): unknown => status?.conditions.find(({ type }) => type === wanted);
  // Where the node's cgroups lack a controller, the reason says what is not enforced.
  expect(condition('RuntimeReady')).toMatchObject({ status: true, reason: expect.stringMatching(/^(LimitsNotEnforced)?$/) });
  expect(condition('NetworkReady')).toEqual({ type: 'NetworkReady', status: true, reason: '', message: '' });
  expect(runtime_handlers.map(({ name }) => name)).toContain('');
  expect(features).not.toBeNull();
  expect(info).toEqual({});
});

test('the verbose Status is JSON that shows the configuration', async () => {
  const { info } = await stage.cri.call('Status', { verbose: true });
  expect(Object.keys(info).length).toBeGreaterThan(0);
  for (const value of Object.values(info)) expect(() => JSON.parse(value) as unknown).not.toThrow();
  expect(Object.values(info).join('\n')).toContain(stage.daemon.root);
});

test('RuntimeConfig names the cgroup driver', async () => {
  const { linux } = await stage.cri.call('RuntimeConfig', {});
  expect(linux?.cgroup_driver).toBe('CGROUPFS');
});

test('UpdateRuntimeConfig accepts a pod CIDR, nothing, and no nonsense', async () => {
  const { cri } = stage;
  await cri.call('UpdateRuntimeConfig', { runtime_config: { network_config: { pod_cidr: '10.200.0.0/24' } } });
  await cri.call('UpdateRuntimeConfig', { runtime_config: { network_config: { pod_cidr: '' } } });
  await cri.call('UpdateRuntimeConfig', {});
  await expectCode(cri.call('UpdateRuntimeConfig', { runtime_config: { network_config: { pod_cidr: 'nonsense' } } }), 'INVALID_ARGUMENT', /pod_cidr|nonsense/);
});

test('what is not built yet says UNIMPLEMENTED', async () => {
  await expectCode(stage.cri.call('CheckpointContainer', { container_id: 'f'.repeat(64), location: '/tmp/x' }), 'UNIMPLEMENTED');
});
