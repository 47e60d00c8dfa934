import type { CgroupDetail, MemoryReading } from '../../cgroup/readings.ts';
import type { ProcessMemory } from '../../cgroup/readings-processes.ts';
import { one } from './metric-family.ts';
import type { ContainerSource, Family } from './metric-family.ts';
import { workingSet } from './usage.ts';

type Samples = Family<ContainerSource>['samples'];

/** From the cgroup; where the memory controller is missing, from the processes. */
function memory(ofCgroup: (memory: MemoryReading, detail: CgroupDetail) => number | undefined, ofProcesses: (memory: ProcessMemory) => number): Samples {
  return ({ seen, detail }) => {
    if (seen.reading.memory !== undefined) return one(ofCgroup(seen.reading.memory, detail));
    return seen.processes === undefined ? [] : one(ofProcesses(seen.processes));
  };
}

/** Without the memory controller there is no limit to be hit. */
function events(value: (events: NonNullable<CgroupDetail['memoryEvents']>) => number): Samples {
  return ({ detail }) => one(detail.memoryEvents === undefined ? 0 : value(detail.memoryEvents));
}

const resident = ({ anonymous, mapped }: ProcessMemory): number => anonymous + mapped;

function family(name: string, type: 'COUNTER' | 'GAUGE', help: string, samples: Samples): Family<ContainerSource> {
  return { name, help, type, samples };
}

export const memoryFamilies: readonly Family<ContainerSource>[] = [
  family('container_memory_usage_bytes', 'GAUGE', 'Memory in use, the page cache included, in bytes.', memory(({ usage }) => usage, resident)),
  family('container_memory_working_set_bytes', 'GAUGE', 'Memory in use without the inactive page cache, in bytes: what the kubelet evicts by.', memory(workingSet, resident)),
  family('container_memory_rss', 'GAUGE', 'Anonymous memory, transparent huge pages included, in bytes.', memory((of) => of.anonymous, (of) => of.anonymous)),
  family('container_memory_cache', 'GAUGE', 'Page cache, in bytes.', memory(({ file }) => file, ({ mapped }) => mapped)),
  family('container_memory_mapped_file', 'GAUGE', 'Files mapped into memory, in bytes.', memory(({ mappedFile }) => mappedFile, ({ mapped }) => mapped)),
  family('container_memory_kernel_usage', 'GAUGE', 'Memory of the kernel on behalf of the container, in bytes.', memory((of) => of.kernel, (of) => of.kernel)),
  family('container_memory_max_usage_bytes', 'GAUGE', 'Most memory that was ever in use, in bytes.', memory((_, { memoryPeak }) => memoryPeak, ({ peak }) => peak)),
  family('container_memory_failcnt', 'COUNTER', 'How often memory use has reached its limit.', events(({ max }) => max)),
  family('container_oom_events_total', 'COUNTER', 'Processes that were killed for want of memory.', ({ record, detail }) =>
    one(detail.memoryEvents?.oomKill ?? (record.oomKilled ? 1 : 0))),
  {
    ...family('container_memory_swap', 'GAUGE', 'Swap in use, in bytes.', ({ seen }) => one(seen.reading.swap?.usage ?? seen.processes?.swap ?? 0)),
  },
  {
    name: 'container_memory_failures_total',
    help: 'Page faults: pgfault all of them, pgmajfault those that had to wait for a disk.',
    type: 'COUNTER',
    labels: ['failure_type', 'scope'],
    samples: (source) => [...faults(source, 'container'), ...faults(source, 'hierarchy')],
  },
  {
    ...family('container_memory_total_active_file_bytes', 'GAUGE', 'Page cache used lately, in bytes.', ({ seen }) => one(seen.reading.memory?.activeFile)),
    controller: 'memory',
  },
  {
    ...family('container_memory_total_inactive_file_bytes', 'GAUGE', 'Page cache not used lately, in bytes.', ({ seen }) => one(seen.reading.memory?.inactiveFile)),
    controller: 'memory',
  },
];

/** cgroup v2 counts a cgroup with all below it, so that both of cAdvisor's scopes are the same. */
function faults({ seen }: ContainerSource, scope: string): { labels: string[]; value: number }[] {
  const { memory: counted } = seen.reading;
  const all = counted?.pageFaults ?? (seen.processes && seen.processes.minorFaults + seen.processes.majorFaults);
  const major = counted?.majorPageFaults ?? seen.processes?.majorFaults;
  return all === undefined || major === undefined
    ? []
    : [{ labels: ['pgfault', scope], value: all }, { labels: ['pgmajfault', scope], value: major }];
}
