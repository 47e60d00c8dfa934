import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    // Many unit tests wait, for time limits and for processes. Where files run one after another this is of no effect.
    maxWorkers: availableParallelism() + 2,
    projects: [
      {
        test: {
          name: 'unit',
          include: ['src/**/*.test.ts', 'tools/**/*.test.ts'],
          pool: 'threads',
        },
      },
      {
        // Scenarios own the machine's mounts, namespaces and cgroups while they run: one after another.
        test: {
          name: 'scenario',
          include: ['conformance/**/*.test.ts'],
          exclude: ['conformance/vm/**'],
          pool: 'forks',
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
          teardownTimeout: 30_000,
        },
      },
      {
        // What needs a kernel of its own: tools/vm/test.ts runs them, most of them inside of the machine.
        test: {
          name: 'vm',
          include: ['conformance/vm/**/*.test.ts'],
          pool: 'forks',
          fileParallelism: false,
          testTimeout: 180_000,
          hookTimeout: 180_000,
          teardownTimeout: 30_000,
        },
      },
    ],
  },
});
