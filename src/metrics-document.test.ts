/** The registry of the whole daemon against Prometheus's conventions, the documentation and the dashboard. */
import { globSync, readFileSync } from 'node:fs';
import { pino } from 'pino';
import type { Registry } from 'prom-client';
import { beforeAll, describe, expect, test } from 'vitest';
import { createCallMetrics } from './cri-server/call-metrics.ts';
import { pluginMetrics } from './pod-network/plugin-metrics.ts';
import { createStreamMetrics } from './streaming/metrics.ts';
import { systemClock } from './telemetry/clock.ts';
import { createImageMetrics } from './telemetry/image-metrics.ts';
import { createMetrics } from './telemetry/metrics.ts';
import { createRuntimeMetrics } from './telemetry/runtime-metrics.ts';
import { stepNames } from './telemetry/steps.ts';
import { createCallTracer } from './telemetry/tracing.ts';

interface Described {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly labels: readonly string[];
}

const read = (path: string): string => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');

let metrics: Described[];

/** Everything that main.ts registers, by the same functions. */
async function wholeRegistry(): Promise<Registry> {
  const registry = createMetrics();
  createCallMetrics(registry);
  createImageMetrics(registry);
  pluginMetrics(registry);
  createStreamMetrics({ registry, pending: () => 0 });
  await createCallTracer({ environment: {}, version: '1', registry, clock: systemClock(), log: pino({ level: 'silent' }) });
  const none = new Map<string, number>();
  createRuntimeMetrics(registry).watch(() => (
    { sandboxes: none, containers: none, shims: 0, ledger: none, launches: { running: 0, waiting: 0 }, controllers: new Map() }));
  return registry;
}

beforeAll(async () => {
  const registry = await wholeRegistry();
  metrics = registry.getMetricsAsArray().map((metric) => {
    const { name, help, labelNames, type } = metric as unknown as { name: string; help: string; labelNames: string[]; type: string };
    return { name, help, type: type.toLowerCase(), labels: labelNames };
  });
});

test('every metric that the sources name is in the registry that is tested here', () => {
  const sources = globSync('src/**/*.ts', { cwd: new URL('..', import.meta.url).pathname }).filter((path) => !path.endsWith('.test.ts') && !path.includes('generated'));
  const named = sources.flatMap((path) => [...read(path).matchAll(/'((?:berth|process)_[a-z_]+)'/g)].map(([, name]) => name));
  expect(new Set(metrics.map(({ name }) => name))).toEqual(new Set(named));
});

describe('Prometheus\'s conventions', () => {
  const baseUnits = /_(seconds|bytes|ratio|info)$/;

  test('a counter ends in _total, and nothing else does', () => {
    expect(metrics.filter(({ name, type }) => (type === 'counter') !== name.endsWith('_total'))).toEqual([]);
  });

  test('a histogram is of a base unit', () => {
    expect(metrics.filter(({ name, type }) => type === 'histogram' && !/_(seconds|bytes)$/.test(name))).toEqual([]);
  });

  test('units are base units, and stand last', () => {
    const wrong = metrics.filter(({ name }) =>
      /(_|^)(ms|milliseconds?|micros|nanos|minutes?|kb|kib|mb|mib|kilobytes?|megabytes?|percent)(_|$)/.test(name) ||
      (/_(seconds|bytes|ratio)_/.test(name) && !/_(seconds|bytes)_total$/.test(name)));
    expect(wrong).toEqual([]);
  });

  test('what tells a time or a size in its help tells the unit in its name', () => {
    const wrong = metrics.filter(({ name, help }) => /\b(how long|bytes of|memory of)\b/i.test(help) && !baseUnits.test(name) && !/_(seconds|bytes)_total$/.test(name));
    expect(wrong).toEqual([]);
  });

  test('names are berth\'s or those of every process, in snake case, without the type or a label in them', () => {
    for (const { name, labels } of metrics) {
      expect(name).toMatch(/^(berth|process)(_[a-z]+)+$/);
      expect(name).not.toMatch(/_(gauge|counter|histogram|count|sum|bucket)$/);
      for (const label of labels) {
        expect(label).toMatch(/^[a-z]+$/);
        expect(['le', 'quantile', 'instance', 'job']).not.toContain(label);
      }
    }
  });

  test('each has a help text that is a sentence', () => {
    for (const { name, help } of metrics) expect([name, help]).toEqual([name, expect.stringMatching(/^[A-Z].{15,}\.$/)]);
  });
});

describe('docs/metrics.md', () => {
  const rows = [...read('docs/metrics.md').matchAll(/^\| `((?:berth|process)_\w+)` \| (\w+) \| (.*?) \| (.*) \|$/gm)]
    .map(([, name = '', type = '', labels = '']) => ({ name, type, labels: [...labels.matchAll(/`(\w+)`/g)].map(([, label]) => label) }));

  test('lists every metric once, with its type and labels, and no other', () => {
    const byName = (a: { name: string }, b: { name: string }): number => (a.name < b.name ? -1 : 1);
    expect(rows.toSorted(byName)).toEqual(metrics.map(({ name, type, labels }) => ({ name, type, labels })).toSorted(byName));
  });

  test('tells of every step', () => {
    const document = read('docs/metrics.md');
    expect(stepNames.filter((name) => !document.includes(`\`${name}\``))).toEqual([]);
  });
});

describe('the Grafana dashboard', () => {
  const dashboard = JSON.parse(read('deploy/grafana/berth.json')) as {
    panels: { id: number; title: string; gridPos: { x: number; y: number; w: number; h: number }; targets: { expr: string }[] }[];
  };

  test('asks only for metrics that exist, with labels that they have', () => {
    const known = new Map(metrics.flatMap(({ name, type, labels }) =>
      (type === 'histogram' ? ['_bucket', '_count', '_sum'] : ['']).map((suffix) => [name + suffix, new Set([...labels, 'instance', 'le'])] as const)));
    const expressions = dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
    expect(expressions.length).toBeGreaterThan(25);
    for (const expression of expressions) {
      const names = [...expression.matchAll(/\b(?:berth|process)_\w+/g)].map(([name]) => name);
      expect([expression, names.length]).toEqual([expression, 1]);
      const labels = known.get(names[0] ?? '');
      expect([expression, labels !== undefined]).toEqual([expression, true]);
      const used = [...expression.matchAll(/(\w+)\s*(?:=~|!~|!=|=)\s*"/g), ...expression.matchAll(/by \(([^)]*)\)/g)].flatMap(([, label = '']) => label.split(/,\s*/));
      expect([expression, used.filter((label) => !(labels?.has(label) ?? false))]).toEqual([expression, []]);
    }
  });

  test('has panels that do not lie upon each other', () => {
    const cells = dashboard.panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, index) => `${x + (index % w)},${y + Math.floor(index / w)}`));
    expect(new Set(cells).size).toBe(cells.length);
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
  });
});
