/** The metrics of pulls. */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

export interface ImageMetrics {
  /** Follows a pull, which several callers may share, to its end. `signal` tells a cancelled one from a failed one. */
  pulling(pull: Promise<unknown>, signal: AbortSignal): void;
  /** Bytes of layers that came from a registry, as they come. */
  downloaded(bytes: number): void;
  /** Seconds of processor time that one layer's unpacking took, by work. */
  unpacked(cpu: Readonly<Record<UnpackWork, number>>): void;
}

export type UnpackWork = 'decompress' | 'hash' | 'other' | 'kernel';

/** From an image that is there already to a large one over a slow line. */
const buckets = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900];

export function createImageMetrics(registry: Registry): ImageMetrics {
  const registers = [registry];
  const pulls = new Counter({
    name: 'berth_image_pulls_total',
    help: 'Pulls that ended, by outcome (ok, error, cancelled). Callers that share one count once.',
    labelNames: ['outcome'],
    registers,
  });
  const durations = new Histogram({
    name: 'berth_image_pull_duration_seconds',
    help: 'How long pulls took, by outcome.',
    labelNames: ['outcome'],
    buckets,
    registers,
  });
  const inFlight = new Gauge({ name: 'berth_image_pulls_in_flight', help: 'Pulls that run now.', registers });
  const bytes = new Counter({ name: 'berth_image_downloaded_bytes_total', help: 'Bytes of layers that came from registries, packed.', registers });
  const cpu = new Counter({
    name: 'berth_image_unpack_cpu_seconds_total',
    help: 'Processor time of unpacking, by work: decompress, hash, kernel (file system), other.',
    labelNames: ['work'],
    registers,
  });
  for (const outcome of ['ok', 'error', 'cancelled']) pulls.inc({ outcome }, 0);
  const ended = (outcome: string, began: number): void => {
    inFlight.dec();
    pulls.inc({ outcome });
    durations.observe({ outcome }, (performance.now() - began) / 1000);
  };
  return {
    pulling(pull, signal) {
      const began = performance.now();
      inFlight.inc();
      pull.then(
        () => ended('ok', began),
        () => ended(signal.aborted ? 'cancelled' : 'error', began),
      );
    },
    downloaded: (count) => bytes.inc(count),
    unpacked(spent) {
      for (const [work, seconds] of Object.entries(spent)) cpu.inc({ work }, seconds);
    },
  };
}
