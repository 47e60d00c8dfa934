/** Watches calls by OpenTelemetry's environment variables; without an endpoint, what traces is not even loaded. */
import { Counter, type Registry } from 'prom-client';
import type { Logger } from 'pino';
import { untraced, type CallTracer } from './call-tracer.ts';
import type { Clock } from './clock.ts';
import { createStepMetrics } from './step-metrics.ts';

export interface TracingOptions {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly version: string;
  readonly registry: Registry;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Rejects with CONFIG_INVALID, naming the variable that is wrong. */
export async function createCallTracer(options: TracingOptions): Promise<CallTracer> {
  const { environment, version, registry, clock, log } = options;
  const steps = createStepMetrics(registry);
  const spans = new Counter({ name: 'berth_trace_spans_total', help: 'Spans by what became of them: exported, or dropped because the collector did not take them.', labelNames: ['outcome'], registers: [registry] });
  for (const outcome of ['exported', 'dropped']) spans.inc({ outcome }, 0);
  if ((environment['OTEL_EXPORTER_OTLP_ENDPOINT'] || environment['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'] || '') === '') return untraced(steps);
  const { tracingSettings } = await import('./tracing/environment.ts');
  const settings = tracingSettings(environment, version);
  if (settings === undefined) return untraced(steps);
  const [{ SpanExporter }, { createTracer }] = await Promise.all([import('./tracing/exporter.ts'), import('./tracing/tracer.ts')]);
  const observer = { exported: (count: number) => spans.inc({ outcome: 'exported' }, count), dropped: (count: number) => spans.inc({ outcome: 'dropped' }, count) };
  log.info({ url: settings.url.origin + settings.url.pathname }, 'calls are traced');
  return createTracer({ steps, sampler: settings.sampler, clock, spans: new SpanExporter({ settings, version, observer, log: log.child({ component: 'tracing' }) }) });
}
