import type { RuntimeHandlers } from '../../cri-server/handlers.ts';
import type { Runtime } from '../runtime.ts';
import { StatsCollector } from './collector.ts';
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
    close: () => collector.close(),
  };
}
