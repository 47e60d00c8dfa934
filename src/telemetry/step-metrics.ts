/** How long the steps of calls take. */
import { Histogram, type Registry } from 'prom-client';
import type { StepObserver } from './steps.ts';

/** From what a rename takes to what a download may. */
const buckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120];

export function createStepMetrics(registry: Registry): StepObserver {
  const durations = new Histogram({
    name: 'berth_step_duration_seconds',
    help: 'How long the steps of CRI calls took, by step and outcome (ok, error).',
    labelNames: ['step', 'outcome'],
    buckets,
    registers: [registry],
  });
  const observer: StepObserver = {
    begin(step) {
      const began = performance.now();
      return {
        inner: observer,
        end: (error) => durations.observe({ step, outcome: error === undefined ? 'ok' : 'error' }, (performance.now() - began) / 1000),
      };
    },
  };
  return observer;
}
