/**
 * Draws deploy/grafana/berth.json from the figures of a Prometheus server, for the documentation:
 *
 *   node tools/dashboard-picture.ts --prometheus http://127.0.0.1:9090 --minutes 5 --out docs/dashboard.svg
 *
 * Each query of the dashboard is asked of Prometheus as Grafana would; a query that Prometheus refuses is an error.
 * The drawing is this program's own, not Grafana's.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { drawDashboard, type DrawnPanel, type Series } from './dashboard-svg.ts';

interface Target {
  readonly expr: string;
  readonly legendFormat: string;
}

export interface Dashboard {
  readonly title: string;
  readonly panels: readonly {
    readonly title: string;
    readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
    readonly fieldConfig: { readonly defaults: { readonly unit: string } };
    readonly targets: readonly Target[];
  }[];
}

interface Answer {
  readonly status: string;
  readonly error?: string;
  readonly data?: { readonly result: readonly { readonly metric: Readonly<Record<string, string>>; readonly values: readonly (readonly [number, string])[] }[] };
}

/** Points across a panel. */
const points = 120;

export function readDashboard(): Dashboard {
  return JSON.parse(readFileSync(new URL('../deploy/grafana/berth.json', import.meta.url), 'utf8')) as Dashboard;
}

/** A query as Prometheus takes it: Grafana's variables filled in. */
export function plainQuery(expression: string, rateInterval: string): string {
  return expression.replaceAll('$__rate_interval', rateInterval).replaceAll('"$instance"', '".*"');
}

export async function main(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      prometheus: { type: 'string', default: 'http://127.0.0.1:9090' },
      minutes: { type: 'string', default: '60' },
      'rate-interval': { type: 'string', default: '20s' },
      out: { type: 'string', default: fileURLToPath(new URL('../docs/dashboard.svg', import.meta.url)) },
    },
  });
  const end = Date.now() / 1000;
  const range = { start: end - Number(values.minutes) * 60, end };
  const dashboard = readDashboard();
  const panels: DrawnPanel[] = [];
  for (const { title, gridPos, fieldConfig, targets } of dashboard.panels) {
    const series: Series[] = [];
    for (const target of targets) series.push(...(await ask(values.prometheus, target, values['rate-interval'], range)));
    panels.push({ title, unit: fieldConfig.defaults.unit, grid: gridPos, series });
  }
  writeFileSync(values.out, drawDashboard(dashboard.title, panels, range));
}

async function ask(prometheus: string, target: Target, rateInterval: string, range: { start: number; end: number }): Promise<Series[]> {
  const parameters = new URLSearchParams({
    query: plainQuery(target.expr, rateInterval),
    start: String(range.start),
    end: String(range.end),
    step: String((range.end - range.start) / points),
  });
  const answer = (await (await fetch(`${prometheus}/api/v1/query_range?${parameters.toString()}`)).json()) as Answer;
  if (answer.status !== 'success') throw new Error(`${target.expr}: ${answer.error ?? answer.status}`);
  return (answer.data?.result ?? []).map(({ metric, values }) => ({
    name: target.legendFormat.replaceAll(/\{\{(\w+)\}\}/g, (_, label: string) => metric[label] ?? ''),
    values: values.map(([time, value]) => [time, Number(value)] as const).filter(([, value]) => Number.isFinite(value)),
  }));
}

if (argv[1] === fileURLToPath(import.meta.url)) await main(argv.slice(2));
