import type { Pressure } from '../../cgroup/readings-parse.ts';
import type { CpuReading } from '../../cgroup/readings.ts';
import { one, secondsOfMicros } from './metric-family.ts';
import type { ContainerSource, Family, Sample } from './metric-family.ts';

type Throttling = NonNullable<CpuReading['throttling']>;

/** Without the cpu controller there is no quota, so no period of one has elapsed. */
const unthrottled: Throttling = { periods: 0, throttledPeriods: 0, throttledMicroseconds: 0 };

function cpu(value: (reading: CpuReading) => number): Family<ContainerSource>['samples'] {
  return ({ seen }) => (seen.reading.cpu === undefined ? [] : one(value(seen.reading.cpu)));
}

function throttling(value: (throttling: Throttling) => number): Family<ContainerSource>['samples'] {
  return cpu((reading) => value(reading.throttling ?? unthrottled));
}

export const cpuFamilies: readonly Family<ContainerSource>[] = [
  {
    name: 'container_cpu_usage_seconds_total',
    help: 'Processor time of the container, in seconds.',
    type: 'COUNTER',
    labels: ['cpu'],
    samples: ({ seen }) => (seen.reading.cpu === undefined ? [] : [{ labels: ['total'], value: secondsOfMicros(seen.reading.cpu.usageMicroseconds) }]),
  },
  {
    name: 'container_cpu_user_seconds_total',
    help: 'Processor time in user mode, in seconds.',
    type: 'COUNTER',
    samples: cpu(({ userMicroseconds }) => secondsOfMicros(userMicroseconds)),
  },
  {
    name: 'container_cpu_system_seconds_total',
    help: 'Processor time in the kernel, in seconds.',
    type: 'COUNTER',
    samples: cpu(({ systemMicroseconds }) => secondsOfMicros(systemMicroseconds)),
  },
  {
    name: 'container_cpu_cfs_periods_total',
    help: 'Periods of the CPU quota that have elapsed.',
    type: 'COUNTER',
    samples: throttling(({ periods }) => periods),
  },
  {
    name: 'container_cpu_cfs_throttled_periods_total',
    help: 'Periods of the CPU quota in which the container was throttled.',
    type: 'COUNTER',
    samples: throttling(({ throttledPeriods }) => throttledPeriods),
  },
  {
    name: 'container_cpu_cfs_throttled_seconds_total',
    help: 'Time for which the CPU quota has throttled the container, in seconds.',
    type: 'COUNTER',
    samples: throttling(({ throttledMicroseconds }) => secondsOfMicros(throttledMicroseconds)),
  },
];

/** cAdvisor calls `some` waiting and `full` stalled. */
export const pressureFamilies: readonly Family<ContainerSource>[] = (['cpu', 'memory', 'io'] as const).flatMap((resource) => [
  {
    name: `container_pressure_${resource}_waiting_seconds_total`,
    help: `Time in which at least one task of the container waited for ${resource}, in seconds.`,
    type: 'COUNTER',
    samples: ({ seen }) => stalled(seen.reading.pressure[resource], 'some'),
  },
  {
    name: `container_pressure_${resource}_stalled_seconds_total`,
    help: `Time in which no task of the container could go on for want of ${resource}, in seconds.`,
    type: 'COUNTER',
    samples: ({ seen }) => stalled(seen.reading.pressure[resource], 'full'),
  },
]);

function stalled(pressure: Pressure | undefined, kind: 'some' | 'full'): readonly Sample[] {
  const total = pressure?.[kind]?.totalMicroseconds;
  return total === undefined ? [] : one(secondsOfMicros(total));
}
