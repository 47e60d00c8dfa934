/**
 * The daemon's metrics registry, with what describes the process itself.
 *
 *   const metrics = createMetrics();      // pass it to startCriServer and startMetricsServer
 *
 * Everything here is read when somebody asks: no timer runs in between.
 */
import { readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { Counter, Gauge, Registry } from 'prom-client';
import { version } from '../config/version.ts';

export function createMetrics(): Registry {
  const registry = new Registry();
  new Gauge({ name: 'berth_build_info', help: 'Always 1; the labels tell what runs.', labelNames: ['version', 'node'], registers: [registry] })
    .set({ version, node: process.versions.node }, 1);
  registerProcess(registry);
  registerMemory(registry);
  registerEventLoop(registry);
  return registry;
}

function registerProcess(registry: Registry): void {
  const registers = [registry];
  const startedAt = performance.timeOrigin / 1000;
  new Gauge({ name: 'process_start_time_seconds', help: 'When the process started, since the epoch.', registers }).set(startedAt);
  new Counter({
    name: 'process_cpu_seconds_total',
    help: 'Processor time of the process, user and system.',
    registers,
    collect() {
      const { user, system } = process.cpuUsage();
      this.reset();
      this.inc((user + system) / 1e6);
    },
  });
  new Gauge({
    name: 'process_open_fds',
    help: 'Open file descriptors.',
    registers,
    async collect() {
      // One of them is the directory being read.
      this.set((await readdir('/proc/self/fd')).length - 1);
    },
  });
}

function registerMemory(registry: Registry): void {
  const registers = [registry];
  new Gauge({
    name: 'process_resident_memory_bytes',
    help: 'Resident memory of the process, shared pages included.',
    registers,
    collect() {
      this.set(process.memoryUsage.rss());
    },
  });
  new Gauge({
    name: 'berth_process_pss_bytes',
    help: 'Proportional memory of the process: shared pages divided by their users.',
    registers,
    collect() {
      this.set(proportionalBytes());
    },
  });
  new Gauge({
    name: 'berth_memory_bytes',
    help: 'Memory of the JavaScript engine, by kind.',
    labelNames: ['kind'],
    registers,
    collect() {
      const { heapTotal, heapUsed, external, arrayBuffers } = process.memoryUsage();
      this.set({ kind: 'heap_total' }, heapTotal);
      this.set({ kind: 'heap_used' }, heapUsed);
      this.set({ kind: 'external' }, external);
      this.set({ kind: 'array_buffers' }, arrayBuffers);
    },
  });
}

/** smaps_rollup, proc(5): `Pss: N kB`. */
function proportionalBytes(): number {
  const match = /^Pss:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/smaps_rollup', 'latin1'));
  return match === null ? NaN : Number(match[1]) * 1024;
}

function registerEventLoop(registry: Registry): void {
  const registers = [registry];
  new Gauge({
    name: 'berth_event_loop_lag_seconds',
    help: 'How long a task that was ready waited for the event loop, measured now.',
    registers,
    async collect() {
      const before = performance.now();
      const { promise, resolve } = Promise.withResolvers<void>();
      setImmediate(resolve);
      await promise;
      this.set((performance.now() - before) / 1000);
    },
  });
  let last = performance.eventLoopUtilization();
  new Gauge({
    name: 'berth_event_loop_utilization_ratio',
    help: 'Share of the time since the last reading that the event loop was busy, 0 to 1.',
    registers,
    collect() {
      const now = performance.eventLoopUtilization();
      this.set(performance.eventLoopUtilization(now, last).utilization);
      last = now;
    },
  });
}
