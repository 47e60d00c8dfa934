import type { LinuxPodSandboxStats } from '../../cri-server/generated/runtime/v1/LinuxPodSandboxStats.ts';
import type { PodSandboxStats } from '../../cri-server/generated/runtime/v1/PodSandboxStats.ts';
import type { PodSandboxStatsFilter__Output } from '../../cri-server/generated/runtime/v1/PodSandboxStatsFilter.ts';
import type { RuntimeHandlers } from '../../cri-server/handlers.ts';
import { processesOf } from '../../cgroup/readings-processes.ts';
import type { ContainerRecord } from '../../state/container.ts';
import type { SandboxRecord } from '../../state/sandbox.ts';
import { listSandboxes } from '../pod-sandbox/list.ts';
import { containersOf } from '../runtime.ts';
import type { Runtime } from '../runtime.ts';
import type { StatsCollector } from './collector.ts';
import { containerStats } from './container-stats.ts';
import { networkUsage } from './network.ts';
import { mapInSlices } from './slices.ts';
import { cpuUsage, ioUsage, memoryUsage, wrapped } from './usage.ts';

/** PodSandboxStats. A stopped sandbox uses nothing any more. */
export function podSandboxStatsRpc(runtime: Runtime, collector: StatsCollector): RuntimeHandlers['PodSandboxStats'] {
  return async (request) => {
    collector.asked();
    const { record } = runtime.sandboxes.get(request.pod_sandbox_id, 'sandbox', 'SANDBOX_NOT_FOUND');
    await collector.measureLayers(running(runtime, record));
    return { stats: podStats(runtime, collector, record) };
  };
}

/** ListPodSandboxStats, of the ready sandboxes. */
export function listPodSandboxStats(runtime: Runtime, collector: StatsCollector): RuntimeHandlers['ListPodSandboxStats'] {
  return async (request, context) => ({ stats: await statsOfPods(runtime, collector, request.filter, context.signal) });
}

export async function statsOfPods(
  runtime: Runtime,
  collector: StatsCollector,
  filter: PodSandboxStatsFilter__Output | null,
  signal: AbortSignal,
): Promise<PodSandboxStats[]> {
  collector.asked();
  const records = readySandboxes(runtime, filter);
  await collector.measureLayers(records.flatMap((record) => running(runtime, record)));
  return mapInSlices(records, signal, (record) => podStats(runtime, collector, record));
}

export function readySandboxes(runtime: Runtime, filter: PodSandboxStatsFilter__Output | null): SandboxRecord[] {
  const wanted = filter ?? { id: '', label_selector: {} };
  return listSandboxes(runtime, { ...wanted, state: { state: 'SANDBOX_READY' } });
}

function running(runtime: Runtime, sandbox: SandboxRecord): ContainerRecord[] {
  return containersOf(runtime, sandbox.id).map(({ record }) => record).filter(({ phase }) => phase === 'running');
}

function podStats(runtime: Runtime, collector: StatsCollector, record: SandboxRecord): PodSandboxStats {
  const { metadata, labels, annotations } = record.config;
  const containers = running(runtime, record).map((container) => containerStats(runtime, collector, container));
  return {
    attributes: { id: record.id, metadata, labels, annotations },
    linux: { ...sandboxUsage(collector, record), containers },
    windows: null,
  };
}

/** As the sandbox's cgroup counts it: its containers' and what the kubelet puts beside them. */
function sandboxUsage(collector: StatsCollector, record: SandboxRecord): LinuxPodSandboxStats {
  const seen = collector.observeSandbox(record);
  const files = collector.sandboxFiles(record);
  if (seen === undefined || files === undefined) return {};
  const { reading, processes, timestamp } = seen;
  const interfaces = collector.interfacesOf(record);
  return {
    cpu: cpuUsage(reading, seen.nanoCores, timestamp),
    memory: memoryUsage(reading, processes, timestamp),
    network: interfaces === undefined ? null : networkUsage(interfaces, timestamp),
    process: { timestamp, process_count: wrapped(processesOf(files).length) },
    io: ioUsage(reading, timestamp),
  };
}
