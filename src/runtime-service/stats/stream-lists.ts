import type { RuntimeHandlers } from '../../cri-server/handlers.ts';
import { listContainers } from '../container/list.ts';
import { listPodSandbox } from '../pod-sandbox/list.ts';
import type { Runtime } from '../runtime.ts';
import type { StatsCollector } from './collector.ts';
import { statsOfContainers } from './container-stats.ts';
import { podMetrics } from './list-metrics.ts';
import { statsOfPods } from './pod-stats.ts';

/**
 * The streaming forms of the lists: the same entries in the same order, in messages that each stay far below
 * what a client takes (16 MiB by the kubelet's setting). An entry's size is bounded by its labels and
 * annotations, for which Kubernetes allows 256 KiB.
 */
const entriesPerMessage = 16;

type StreamName = 'StreamPodSandboxes' | 'StreamContainers' | 'StreamContainerStats' | 'StreamPodSandboxStats' | 'StreamPodSandboxMetrics';

export function streamHandlers(runtime: Runtime, collector: StatsCollector): Pick<RuntimeHandlers, StreamName> {
  const sandboxes = listPodSandbox(runtime);
  const containers = listContainers(runtime);
  return {
    async *StreamPodSandboxes(request, context) {
      const { items = [] } = await sandboxes(request, context);
      for (const part of inParts(items)) yield { pod_sandboxes: part };
    },
    async *StreamContainers(request, context) {
      const { containers: items = [] } = await containers(request, context);
      for (const part of inParts(items)) yield { containers: part };
    },
    async *StreamContainerStats(request, context) {
      const items = await statsOfContainers(runtime, collector, request.filter, context.signal);
      for (const part of inParts(items)) yield { container_stats: part };
    },
    async *StreamPodSandboxStats(request, context) {
      const items = await statsOfPods(runtime, collector, request.filter, context.signal);
      for (const part of inParts(items)) yield { pod_sandbox_stats: part };
    },
    async *StreamPodSandboxMetrics(_, context) {
      const items = await podMetrics(runtime, collector, context.signal);
      for (const part of inParts(items)) yield { pod_sandbox_metrics: part };
    },
  };
}

/** An empty list is no message at all. */
export function* inParts<T>(items: readonly T[], size: number = entriesPerMessage): Generator<T[]> {
  for (let at = 0; at < items.length; at += size) yield items.slice(at, at + size);
}
