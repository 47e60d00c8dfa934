import { expect, test } from 'vitest';
import { createMetrics } from './metrics.ts';

function sample(text: string, name: string): number {
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${name} `) || candidate.startsWith(`${name}{`));
  return Number(line?.split(' ').at(-1));
}

test('describes the process with numbers that can be true', async () => {
  const text = await createMetrics().metrics();
  const rss = sample(text, 'process_resident_memory_bytes');
  expect(rss).toBeGreaterThan(10_000_000);
  const pss = sample(text, 'berth_process_pss_bytes');
  expect(pss).toBeGreaterThan(1_000_000);
  expect(pss).toBeLessThan(rss * 1.2);
  expect(sample(text, 'process_open_fds')).toBeGreaterThan(2);
  expect(sample(text, 'process_cpu_seconds_total')).toBeGreaterThan(0);
  expect(sample(text, 'berth_event_loop_lag_seconds')).toBeGreaterThanOrEqual(0);
});

test('the processor time does not add up over readings', async () => {
  const registry = createMetrics();
  await registry.metrics();
  const second = sample(await registry.metrics(), 'process_cpu_seconds_total');
  const { user, system } = process.cpuUsage();
  expect(second).toBeLessThanOrEqual((user + system) / 1e6);
});

test('two registries stand beside each other', async () => {
  expect(await createMetrics().metrics()).toContain('process_open_fds');
  expect(await createMetrics().metrics()).toContain('process_open_fds');
});
