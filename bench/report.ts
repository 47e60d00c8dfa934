/** The bench's table and its JSON. */

import { rows } from './cycle.ts';
import type { Row, Samples } from './cycle.ts';
import type { Memory } from './memory.ts';

export interface Result {
  readonly name: string;
  readonly version: string;
  readonly samples: Samples;
  readonly memory: Memory;
}

export function percentile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(sorted.length * share) - 1))] ?? Number.NaN;
}

export function summary(result: Result): object {
  const calls = Object.fromEntries(
    rows.map((row) => [row, { p50: round(percentile(result.samples[row], 0.5)), p90: round(percentile(result.samples[row], 0.9)), count: result.samples[row].length }]),
  );
  return { name: result.name, version: result.version, milliseconds: calls, memoryKiB: result.memory };
}

export function table(results: readonly Result[]): string {
  const [first, second] = results;
  const lines = [`${'milliseconds'.padEnd(18)}${results.map(({ name }) => `${name} p50`.padStart(16) + 'p90'.padStart(9)).join('')}${second === undefined ? '' : '   p50 ratio'}`];
  for (const row of rows) lines.push(timeLine(row, results));
  lines.push('', `${'memory, KiB (PSS)'.padEnd(18)}${results.map(({ name }) => name.padStart(16).padEnd(25)).join('')}`);
  const memory: [string, (result: Result) => number][] = [
    ['a pod', (result) => result.memory.perPod],
    ['processes a pod', (result) => result.memory.perPodProcesses],
    ['daemon', (result) => result.memory.daemon],
  ];
  for (const [label, of] of memory) {
    const values = results.map((result) => of(result).toFixed(label === 'processes a pod' ? 1 : 0).padStart(16).padEnd(25)).join('');
    lines.push(`${label.padEnd(18)}${values}${first === undefined || second === undefined ? '' : ratio(of(first), of(second))}`);
  }
  return lines.join('\n');
}

function timeLine(row: Row, results: readonly Result[]): string {
  const values = results.map(({ samples }) => [0.5, 0.9].map((share) => percentile(samples[row], share)));
  const cells = values.map(([p50 = Number.NaN, p90 = Number.NaN]) => p50.toFixed(1).padStart(16) + p90.toFixed(1).padStart(9)).join('');
  const [own, peer] = values;
  return `${row.padEnd(18)}${cells}${own === undefined || peer === undefined ? '' : ratio(own[0] ?? 0, peer[0] ?? 0)}`;
}

function ratio(own: number, peer: number): string {
  return (own / peer).toFixed(2).padStart(12);
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
