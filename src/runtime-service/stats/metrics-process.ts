import { one } from './metric-family.ts';
import type { ContainerSource, Family } from './metric-family.ts';

type Samples = Family<ContainerSource>['samples'];

function gauge(name: string, help: string, samples: Samples): Family<ContainerSource> {
  return { name, help, type: 'GAUGE', samples };
}

export const processFamilies: readonly Family<ContainerSource>[] = [
  gauge('container_processes', 'Processes of the container, those of execs included.', ({ processes }) => one(processes)),
  gauge('container_threads', 'Threads of the container.', ({ threads }) => one(threads)),
  gauge('container_threads_max', 'Most threads that the container may have; 0 for no limit.', ({ detail }) => one(detail.pidsLimit ?? 0)),
  gauge('container_file_descriptors', 'Open file descriptors of the container.', ({ descriptors }) => one(descriptors.open)),
  gauge('container_sockets', 'Open sockets of the container.', ({ descriptors }) => one(descriptors.sockets)),
  {
    ...gauge('container_ulimits_soft', "Soft limits of the container's first process.", ({ openFilesLimit }) =>
      one(openFilesLimit).map((sample) => ({ ...sample, labels: ['max_open_files'] }))),
    labels: ['ulimit'],
  },
  {
    ...gauge('container_hugetlb_usage_bytes', 'Huge pages in use, in bytes.', ({ detail }) =>
      detail.hugepages.map(({ pageSize, usage }) => ({ labels: [pageSize], value: usage }))),
    labels: ['pagesize'],
    controller: 'hugetlb',
  },
  gauge('container_last_seen', 'When these figures were read, in seconds since the epoch.', ({ seen }) => one(seconds(seen.timestamp))),
  gauge('container_start_time_seconds', 'When the container was started, in seconds since the epoch.', ({ record }) => one(seconds(record.startedAt))),
];

function seconds(nanos: string): bigint {
  return BigInt(nanos) / 1_000_000_000n;
}

/** What was asked for the container, whether or not this host enforces it. */
export const specFamilies: readonly Family<ContainerSource>[] = [
  gauge('container_spec_cpu_period', 'Period of the CPU quota, in microseconds.', ({ record }) => one(asked(record, 'cpu_period') || 100_000)),
  gauge('container_spec_cpu_quota', 'CPU quota per period, in microseconds; 0 for none.', ({ record }) => one(Math.max(0, asked(record, 'cpu_quota')))),
  gauge('container_spec_cpu_shares', 'CPU shares.', ({ record }) => one(asked(record, 'cpu_shares') || 1024)),
  gauge('container_spec_memory_limit_bytes', 'Memory limit, in bytes; 0 for none.', ({ record }) => one(memoryLimit(record))),
  gauge('container_spec_memory_swap_limit_bytes', 'Limit of memory and swap together, in bytes; 0 for none.', ({ record }) => one(swapLimit(record))),
  gauge('container_spec_memory_reservation_limit_bytes', 'Memory that is protected from reclaim (memory.low), in bytes; 0 for none.', ({ record }) => {
    const low = record.config.linux?.resources?.unified['memory.low'] ?? '0';
    return one(/^\d+$/.test(low) ? low : 0);
  }),
];

type Asked = 'cpu_period' | 'cpu_quota' | 'cpu_shares' | 'memory_limit_in_bytes' | 'memory_swap_limit_in_bytes';

function asked(record: ContainerSource['record'], field: Asked): number {
  return Number(record.config.linux?.resources?.[field] ?? 0);
}

function memoryLimit(record: ContainerSource['record']): number {
  return Math.max(0, asked(record, 'memory_limit_in_bytes'));
}

/** A memory limit without a word on swap means no swap. */
function swapLimit(record: ContainerSource['record']): number {
  const limit = asked(record, 'memory_swap_limit_in_bytes');
  return limit === 0 ? memoryLimit(record) : Math.max(0, limit);
}
