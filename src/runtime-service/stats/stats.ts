import type { RuntimeHandlers } from '../../cri-server/handlers.ts';
import type { Runtime } from '../runtime.ts';
import { StatsCollector } from './collector.ts';
import type { DiskUsage } from './disk-usage.ts';
import { containerStatsRpc, listContainerStats } from './container-stats.ts';
import { listMetricDescriptors, listPodSandboxMetrics } from './list-metrics.ts';
import { listPodSandboxStats, podSandboxStatsRpc } from './pod-stats.ts';
import { streamHandlers } from './stream-lists.ts';

export type StatsHandlers = Pick<
  RuntimeHandlers,
  | 'ContainerStats' | 'ListContainerStats' | 'PodSandboxStats' | 'ListPodSandboxStats'
  | 'ListMetricDescriptors' | 'ListPodSandboxMetrics'
  | keyof ReturnType<typeof streamHandlers>
>;

export interface Stats {
  readonly handlers: StatsHandlers;
  /** What all writable layers together take; undefined as long as one of them has not been measured. */
  writableLayers(): Promise<DiskUsage | undefined>;
  /** Ends the sampling and closes what is kept open. */
  close(): void;
}

/** The RPCs that tell what containers and sandboxes use, and the streaming forms of all lists. */
export function createStats(runtime: Runtime): Stats {
  const collector = new StatsCollector(runtime);
  return {
    handlers: {
      ContainerStats: containerStatsRpc(runtime, collector),
      ListContainerStats: listContainerStats(runtime, collector),
      PodSandboxStats: podSandboxStatsRpc(runtime, collector),
      ListPodSandboxStats: listPodSandboxStats(runtime, collector),
      ListMetricDescriptors: listMetricDescriptors(runtime),
      ListPodSandboxMetrics: listPodSandboxMetrics(runtime, collector),
      ...streamHandlers(runtime, collector),
    },
    writableLayers: () => writableLayers(runtime, collector),
    close: () => collector.close(),
  };
}

async function writableLayers(runtime: Runtime, collector: StatsCollector): Promise<DiskUsage | undefined> {
  const records = [...runtime.containers.values()].map(({ record }) => record);
  await collector.measureLayers(records);
  const figures = records.map(({ id }) => collector.layers.figure(id)).filter((figure) => figure !== undefined);
  if (figures.length < records.length) return undefined;
  return figures.reduce((sum, { bytes, inodes }) => ({ bytes: sum.bytes + bytes, inodes: sum.inodes + inodes }), { bytes: 0, inodes: 0 });
}
