import type { ContainerStats } from '../../cri-server/generated/runtime/v1/ContainerStats.ts';
import type { ContainerStatsFilter__Output } from '../../cri-server/generated/runtime/v1/ContainerStatsFilter.ts';
import type { FilesystemUsage } from '../../cri-server/generated/runtime/v1/FilesystemUsage.ts';
import type { RuntimeHandlers } from '../../cri-server/handlers.ts';
import type { ContainerRecord } from '../../state/container.ts';
import { filterContainers } from '../container/list.ts';
import type { Runtime } from '../runtime.ts';
import type { StatsCollector } from './collector.ts';
import { mapInSlices } from './slices.ts';
import { cpuUsage, ioUsage, memoryUsage, swapUsage, wrapped } from './usage.ts';

/** ContainerStats. Of a container that does not run, only the writable layer uses anything. */
export function containerStatsRpc(runtime: Runtime, collector: StatsCollector): RuntimeHandlers['ContainerStats'] {
  return async (request) => {
    collector.asked();
    const { record } = runtime.containers.get(request.container_id, 'container', 'CONTAINER_NOT_FOUND');
    await collector.measureLayers([record]);
    return { stats: containerStats(runtime, collector, record) };
  };
}

/** ListContainerStats: "stats of all running containers" (CRI). */
export function listContainerStats(runtime: Runtime, collector: StatsCollector): RuntimeHandlers['ListContainerStats'] {
  return async (request, context) => ({ stats: await statsOfContainers(runtime, collector, request.filter, context.signal) });
}

export async function statsOfContainers(
  runtime: Runtime,
  collector: StatsCollector,
  filter: ContainerStatsFilter__Output | null,
  signal: AbortSignal,
): Promise<ContainerStats[]> {
  collector.asked();
  const records = runningContainers(runtime, filter);
  await collector.measureLayers(records);
  return mapInSlices(records, signal, (record) => containerStats(runtime, collector, record));
}

export function runningContainers(runtime: Runtime, filter: ContainerStatsFilter__Output | null): ContainerRecord[] {
  const wanted = filter ?? { id: '', pod_sandbox_id: '', label_selector: {} };
  return filterContainers(runtime, { ...wanted, state: { state: 'CONTAINER_RUNNING' } });
}

export function containerStats(runtime: Runtime, collector: StatsCollector, record: ContainerRecord): ContainerStats {
  const { metadata, labels, annotations } = record.config;
  const attributes = { id: record.id, metadata, labels, annotations };
  const writableLayer = layerUsage(runtime, collector, record.id);
  const seen = collector.observeContainer(record);
  if (seen === undefined) return { attributes, writable_layer: writableLayer };
  const { reading, processes, timestamp } = seen;
  return {
    attributes,
    cpu: cpuUsage(reading, seen.nanoCores, timestamp),
    memory: memoryUsage(reading, processes, timestamp),
    writable_layer: writableLayer,
    swap: swapUsage(reading, processes, timestamp),
    io: ioUsage(reading, timestamp),
  };
}

/** Absent until it has been measured once. */
function layerUsage(runtime: Runtime, collector: StatsCollector, id: string): FilesystemUsage | null {
  const figure = collector.layers.figure(id);
  if (figure === undefined) return null;
  return {
    timestamp: String(figure.at),
    // The file system that ImageFsInfo tells of.
    fs_id: { mountpoint: runtime.containerStore.directory },
    used_bytes: wrapped(figure.bytes),
    inodes_used: wrapped(figure.inodes),
  };
}
