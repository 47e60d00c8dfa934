import { Histogram } from 'prom-client';
import type { Registry } from 'prom-client';

export type PluginOutcome = 'ok' | 'error' | 'timeout' | 'cancelled';

export type ObservePlugin = (plugin: string, command: string, outcome: PluginOutcome, seconds: number) => void;

const metricName = 'berth_cni_plugin_duration_seconds';

/** A histogram of plugin calls in the registry given; without one, nothing is counted. */
export function pluginMetrics(registry: Registry | undefined): ObservePlugin {
  if (registry === undefined) return () => undefined;
  const histogram = new Histogram({
    name: metricName,
    help: 'Time of one CNI plugin call, by plugin, command and outcome (ok, error, timeout, cancelled).',
    labelNames: ['plugin', 'command', 'outcome'],
    buckets: [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 15, 60],
    registers: [registry],
  });
  return (plugin, command, outcome, seconds) => histogram.observe({ plugin, command, outcome }, seconds);
}
