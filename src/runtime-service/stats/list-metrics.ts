import { relative } from 'node:path';
import type { ContainerMetrics } from '../../cri-server/generated/runtime/v1/ContainerMetrics.ts';
import type { Metric } from '../../cri-server/generated/runtime/v1/Metric.ts';
import type { PodSandboxMetrics } from '../../cri-server/generated/runtime/v1/PodSandboxMetrics.ts';
import type { RuntimeHandlers } from '../../cri-server/handlers.ts';
import { readCgroupDetail } from '../../cgroup/readings.ts';
import { descriptorsOf, isSocket, openFilesLimit, processesOf, threadsOf } from '../../cgroup/readings-processes.ts';
import type { ContainerRecord } from '../../state/container.ts';
import type { SandboxRecord } from '../../state/sandbox.ts';
import type { Runtime } from '../runtime.ts';
import type { StatsCollector } from './collector.ts';
import { runningContainers } from './container-stats.ts';
import { readFileSystem } from './file-system.ts';
import type { ContainerSource, Family, FileSystem } from './metric-family.ts';
import { cpuFamilies, pressureFamilies } from './metrics-cpu.ts';
import { diskFamilies } from './metrics-disk.ts';
import { memoryFamilies } from './metrics-memory.ts';
import { networkFamilies } from './metrics-network.ts';
import { processFamilies, specFamilies } from './metrics-process.ts';
import { readySandboxes } from './pod-stats.ts';
import { mapInSlices, Slices } from './slices.ts';

/** cAdvisor's labels in the kubelet: the cgroup, the runtime's own name, the image, and the pod's names. */
const commonLabels = ['id', 'name', 'image', 'container', 'namespace', 'pod'] as const;

type CommonLabels = Record<(typeof commonLabels)[number], string>;

const containerFamilies = [...cpuFamilies, ...memoryFamilies, ...diskFamilies, ...processFamilies, ...specFamilies, ...pressureFamilies];

/** ListMetricDescriptors: what this host can report. */
export function listMetricDescriptors(runtime: Runtime): RuntimeHandlers['ListMetricDescriptors'] {
  const described = [...reported(runtime, containerFamilies), ...reported(runtime, networkFamilies)];
  const descriptors = described.map(({ name, help, labels = [] }) => ({ name, help, label_keys: [...commonLabels, ...labels] }));
  return () => Promise.resolve({ descriptors });
}

function reported<Source>(runtime: Runtime, families: readonly Family<Source>[]): Family<Source>[] {
  const { controllers } = runtime.cgroups.hierarchy;
  return families.filter(({ controller }) => controller === undefined || controllers.has(controller));
}

/** ListPodSandboxMetrics, of the ready sandboxes and their running containers. */
export function listPodSandboxMetrics(runtime: Runtime, collector: StatsCollector): RuntimeHandlers['ListPodSandboxMetrics'] {
  return async (_, context) => ({ pod_metrics: await podMetrics(runtime, collector, context.signal) });
}

export async function podMetrics(runtime: Runtime, collector: StatsCollector, signal: AbortSignal): Promise<PodSandboxMetrics[]> {
  collector.asked();
  const sandboxes = new Map(readySandboxes(runtime, null).map((record) => [record.id, record]));
  const containers = runningContainers(runtime, null).filter(({ sandboxId }) => sandboxes.has(sandboxId));
  await collector.measureLayers(containers);
  const fileSystem = await readFileSystem(runtime.containerStore.directory);
  const families = reported(runtime, containerFamilies);
  const pods = new Map<string, ContainerMetrics[]>();
  const slices = new Slices(signal);
  for (const record of containers) {
    const sandbox = sandboxes.get(record.sandboxId);
    const source = await readContainer(collector, record, fileSystem, slices);
    if (sandbox === undefined || source === undefined) continue;
    const metrics = samplesOf(families, source, containerLabels(runtime, sandbox, record), source.seen.timestamp);
    pods.set(sandbox.id, [...(pods.get(sandbox.id) ?? []), { container_id: record.id, metrics }]);
  }
  return mapInSlices([...sandboxes.values()], signal, (sandbox) => ({
    pod_sandbox_id: sandbox.id,
    metrics: samplesOf(networkFamilies, collector.interfacesOf(sandbox) ?? [], sandboxLabels(runtime, sandbox), String(runtime.clock.nowNanos())),
    container_metrics: pods.get(sandbox.id) ?? [],
  }));
}

async function readContainer(
  collector: StatsCollector,
  record: ContainerRecord,
  fileSystem: FileSystem,
  slices: Slices,
): Promise<ContainerSource | undefined> {
  const files = collector.containerFiles(record);
  const seen = collector.observeContainer(record);
  if (files === undefined || seen === undefined) return undefined;
  const pids = processesOf(files);
  return {
    record,
    seen,
    fileSystem,
    detail: readCgroupDetail(files.directory),
    processes: pids.length,
    threads: threadsOf(files).length,
    openFilesLimit: openFilesLimit(record.pid),
    layer: collector.layers.figure(record.id),
    descriptors: await countDescriptors(pids, slices),
  };
}

/** A process may have very many. */
async function countDescriptors(pids: readonly number[], slices: Slices): Promise<ContainerSource['descriptors']> {
  const sum = { open: 0, sockets: 0 };
  for (const pid of pids) {
    for (const path of descriptorsOf(pid)) {
      sum.open += 1;
      if (isSocket(path)) sum.sockets += 1;
      if (slices.over) await slices.pause();
    }
  }
  return sum;
}

function containerLabels(runtime: Runtime, sandbox: SandboxRecord, { id, cgroupPath, config }: ContainerRecord): CommonLabels {
  const { image } = config;
  return {
    ...sandboxLabels(runtime, sandbox),
    id: cgroupName(runtime, cgroupPath),
    name: id,
    // The kubelet asks by id and says what the user wrote beside it.
    image: image?.user_specified_image || image?.image || '',
    container: config.metadata?.name ?? '',
  };
}

/** Of what belongs to the pod as a whole, which cAdvisor saw in the pause container. */
function sandboxLabels(runtime: Runtime, { id, cgroup, config }: SandboxRecord): CommonLabels {
  const { name = '', namespace = '' } = config.metadata ?? {};
  return { id: cgroupName(runtime, cgroup.path), name: id, image: '', container: 'POD', namespace, pod: name };
}

function cgroupName(runtime: Runtime, directory: string): string {
  return `/${relative(runtime.cgroups.hierarchy.mountPoint, directory)}`;
}

function samplesOf<Source>(families: readonly Family<Source>[], source: Source, labels: CommonLabels, timestamp: string): Metric[] {
  const common = commonLabels.map((key) => labels[key]);
  return families.flatMap(({ name, type, samples }) =>
    samples(source).map((sample) => ({
      name,
      timestamp,
      metric_type: type,
      label_values: [...common, ...(sample.labels ?? [])],
      value: { value: String(sample.value) },
    })),
  );
}
