import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ContainerMetrics } from '../../cri-server/generated/runtime/v1/ContainerMetrics.ts';
import { Rig } from '../testing/rig.ts';
import { inParts } from './stream-lists.ts';

let rig: Rig;
beforeEach(async () => {
  rig = await Rig.make();
});
afterEach(() => rig.close());

/** cAdvisor's, as the kubelet passes them on; hugetlb's highest use is not among them: cgroup v2 does not tell it. */
const cadvisor = [
  'container_blkio_device_usage_total', 'container_cpu_cfs_periods_total', 'container_cpu_cfs_throttled_periods_total',
  'container_cpu_cfs_throttled_seconds_total', 'container_cpu_system_seconds_total', 'container_cpu_usage_seconds_total',
  'container_cpu_user_seconds_total', 'container_file_descriptors', 'container_fs_inodes_free', 'container_fs_inodes_total',
  'container_fs_limit_bytes', 'container_fs_reads_bytes_total', 'container_fs_reads_total', 'container_fs_usage_bytes',
  'container_fs_writes_bytes_total', 'container_fs_writes_total', 'container_last_seen', 'container_memory_cache',
  'container_memory_failcnt', 'container_memory_failures_total', 'container_memory_kernel_usage', 'container_memory_mapped_file',
  'container_memory_max_usage_bytes', 'container_memory_rss', 'container_memory_swap', 'container_memory_usage_bytes',
  'container_memory_working_set_bytes', 'container_network_receive_bytes_total', 'container_network_receive_errors_total',
  'container_network_receive_packets_dropped_total', 'container_network_receive_packets_total',
  'container_network_transmit_bytes_total', 'container_network_transmit_errors_total',
  'container_network_transmit_packets_dropped_total', 'container_network_transmit_packets_total', 'container_oom_events_total',
  'container_pressure_cpu_stalled_seconds_total', 'container_pressure_cpu_waiting_seconds_total',
  'container_pressure_io_stalled_seconds_total', 'container_pressure_io_waiting_seconds_total',
  'container_pressure_memory_stalled_seconds_total', 'container_pressure_memory_waiting_seconds_total', 'container_processes',
  'container_sockets', 'container_spec_cpu_period', 'container_spec_cpu_quota', 'container_spec_cpu_shares',
  'container_spec_memory_limit_bytes', 'container_spec_memory_reservation_limit_bytes', 'container_spec_memory_swap_limit_bytes',
  'container_start_time_seconds', 'container_threads', 'container_threads_max', 'container_ulimits_soft',
];

describe('metrics', () => {
  test('have the names that dashboards know, each with help and labels, once', async () => {
    const { descriptors = [] } = await rig.call('ListMetricDescriptors', {});
    const names = descriptors.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(cadvisor));
    expect(new Set(names).size).toBe(names.length);
    for (const { help, label_keys } of descriptors) {
      expect(help).toMatch(/\.$/);
      expect(label_keys?.slice(0, 6)).toEqual(['id', 'name', 'image', 'container', 'namespace', 'pod']);
    }
  });

  test('have as many label values as their descriptor has keys', async () => {
    const { descriptors = [] } = await rig.call('ListMetricDescriptors', {});
    const keys = new Map(descriptors.map(({ name, label_keys }) => [name, label_keys?.length]));
    await rig.running(await rig.pod());
    const { pod_metrics: pods = [] } = await rig.call('ListPodSandboxMetrics', {});
    const samples = (pods[0]?.container_metrics ?? []).flatMap((container: ContainerMetrics) => container.metrics ?? []);
    expect(samples.length).toBeGreaterThan(20);
    for (const { name = '', label_values } of samples) expect([name, label_values?.length]).toEqual([name, keys.get(name)]);
  });
});

describe('statistics', () => {
  test('of a container whose cgroup tells nothing have no figures, rather than zeros', async () => {
    const id = await rig.running(await rig.pod());
    const { stats } = await rig.call('ContainerStats', { container_id: id });
    expect(stats).toMatchObject({ attributes: { id }, cpu: null, io: null });
  });

  test('are there for running containers in the lists, and by id for all', async () => {
    const pod = await rig.pod();
    const created = await rig.container(pod);
    expect((await rig.call('ListContainerStats', { filter: null })).stats).toEqual([]);
    expect((await rig.call('ContainerStats', { container_id: created })).stats).toMatchObject({ attributes: { id: created } });
    await rig.call('StartContainer', { container_id: created });
    expect((await rig.call('ListContainerStats', { filter: null })).stats).toHaveLength(1);
    expect((await rig.call('ListContainerStats', { filter: { id: created.slice(0, 8), pod_sandbox_id: pod, label_selector: {} } })).stats).toHaveLength(1);
    expect((await rig.call('ListContainerStats', { filter: { id: '', pod_sandbox_id: '', label_selector: { no: 'such' } } })).stats).toEqual([]);
    const { stats = [] } = await rig.call('ListPodSandboxStats', { filter: null });
    expect(stats).toMatchObject([{ attributes: { id: pod }, linux: { containers: [{ attributes: { id: created } }] } }]);
  });

  test('of what does not exist are an error', async () => {
    await expect(rig.call('ContainerStats', { container_id: 'abc' })).rejects.toMatchObject({ code: 'CONTAINER_NOT_FOUND' });
    await expect(rig.call('PodSandboxStats', { pod_sandbox_id: 'abc' })).rejects.toMatchObject({ code: 'SANDBOX_NOT_FOUND' });
  });
});

test('a list in parts has all entries in order; an empty one is no message', () => {
  const items = Array.from({ length: 35 }, (_, index) => index);
  const parts = [...inParts(items)];
  expect(parts.map((part) => part.length)).toEqual([16, 16, 3]);
  expect(parts.flat()).toEqual(items);
  expect([...inParts([])]).toEqual([]);
});
