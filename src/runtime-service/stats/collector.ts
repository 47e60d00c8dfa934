import { join } from 'node:path';
import { CgroupFiles, DescriptorBudget } from '../../cgroup/kernel-file.ts';
import { readCgroup, readCpu } from '../../cgroup/readings.ts';
import type { CgroupReading } from '../../cgroup/readings.ts';
import { openFilesLimit, processesOf, processMemory } from '../../cgroup/readings-processes.ts';
import type { ProcessMemory } from '../../cgroup/readings-processes.ts';
import type { ContainerRecord } from '../../state/container.ts';
import type { SandboxRecord } from '../../state/sandbox.ts';
import { containersOf } from '../runtime.ts';
import type { Container, Runtime } from '../runtime.ts';
import { namespaceOptions } from '../pod-sandbox/validate.ts';
import { CpuWindows } from './cpu-window.ts';
import { writtenBy } from './disk-usage.ts';
import { interfacesOf } from './network.ts';
import type { InterfaceCounters } from './network.ts';
import { Sampler } from './sampler.ts';
import { WritableLayers } from './writable-layers.ts';

/** Descriptors kept open between readings, at most: those of about 400 containers. */
const mostKeptFiles = 4096;

/** A window of CPU use is at most this long while somebody asks, in ms. */
const sampleEvery = 10_000;
const samplePatience = 120_000;

/** How long a call may wait for the size of a writable layer that has never been measured, in ms: once in its life. */
const firstFigurePatience = 1_000;

/** A cgroup at one moment. */
export interface Observation {
  /** Nanoseconds since the epoch, in decimal. */
  readonly timestamp: string;
  readonly reading: CgroupReading;
  readonly nanoCores: number | undefined;
  /** Where the memory controller is missing. */
  readonly processes: ProcessMemory | undefined;
}

/** Reads what containers and sandboxes use, and remembers what a later reading is compared with. */
export class StatsCollector {
  readonly #runtime: Runtime;
  readonly #budget: DescriptorBudget;
  readonly #files = new Map<string, CgroupFiles>();
  readonly #windows = new CpuWindows();
  readonly #sampler: Sampler;
  readonly layers: WritableLayers;

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
    // The other half of what the process may open is for everything else.
    this.#budget = new DescriptorBudget(Math.min(mostKeptFiles, Math.floor((openFilesLimit('self') ?? mostKeptFiles * 2) / 2)));
    this.layers = new WritableLayers({ measure: writtenBy, clock: runtime.clock, log: runtime.log });
    this.#sampler = new Sampler({ sample: () => this.#sample(), every: sampleEvery, patience: samplePatience });
  }

  /** To be called by every RPC that tells figures: keeps the sampling going. */
  asked(): void {
    this.#sampler.asked();
  }

  /** Makes sure that there are figures for the writable layers, or will be soon. */
  async measureLayers(records: readonly ContainerRecord[]): Promise<void> {
    for (const { id } of records) this.layers.want(id, () => this.upperOf(id));
    await this.layers.firstFigures(records.map(({ id }) => id), firstFigurePatience);
  }

  upperOf(containerId: string): string {
    return join(this.#runtime.containerStore.directoryOf(containerId), 'upper');
  }

  /** Undefined when the container has no processes any more, or not yet. */
  observeContainer(record: ContainerRecord): Observation | undefined {
    const files = this.containerFiles(record);
    return files === undefined ? undefined : this.#observe(record.id, files, BigInt(record.startedAt));
  }

  observeSandbox(record: SandboxRecord): Observation | undefined {
    const files = this.sandboxFiles(record);
    // A cgroup that was there before may have used something before.
    const born = record.cgroup.made.includes(record.cgroup.path) ? BigInt(record.createdAt) : undefined;
    return files === undefined ? undefined : this.#observe(record.id, files, born);
  }

  /** The cgroup of a running container, its files kept open until it exits. */
  containerFiles(record: ContainerRecord): CgroupFiles | undefined {
    const container = this.#runtime.containers.find(record.id);
    if (container === undefined || container.record.phase !== 'running') return undefined;
    return this.#files.get(record.id) ?? this.#keep(container);
  }

  /** The cgroup of a ready sandbox; not kept open, because nothing tells when that goes. */
  sandboxFiles(record: SandboxRecord): CgroupFiles | undefined {
    const own = record.cgroup.path !== this.#runtime.cgroups.hierarchy.mountPoint;
    return record.phase === 'ready' && own ? new CgroupFiles(record.cgroup.path, new DescriptorBudget(0)) : undefined;
  }

  /**
   * The interfaces of a pod, as one of its processes sees them. Undefined on the host's network, and while
   * no container runs: berthd itself cannot look into another network namespace.
   */
  interfacesOf(sandbox: SandboxRecord): InterfaceCounters[] | undefined {
    if (namespaceOptions(sandbox.config).network !== 'POD') return undefined;
    for (const { record } of containersOf(this.#runtime, sandbox.id)) {
      const interfaces = record.phase === 'running' ? interfacesOf(record.pid) : undefined;
      if (interfaces !== undefined) return interfaces;
    }
    return undefined;
  }

  close(): void {
    this.#sampler.close();
    for (const files of this.#files.values()) files.close();
    this.#files.clear();
    this.layers.close();
  }

  #keep(container: Container): CgroupFiles {
    const { id, cgroupPath } = container.record;
    const files = new CgroupFiles(cgroupPath, this.#budget);
    this.#files.set(id, files);
    void container.exited.promise.then(() => {
      files.close();
      this.#files.delete(id);
    });
    return files;
  }

  #observe(id: string, files: CgroupFiles, born: bigint | undefined): Observation {
    const reading = readCgroup(files);
    const now = this.#runtime.clock.nowNanos();
    return {
      timestamp: String(now),
      reading,
      nanoCores: reading.cpu === undefined ? undefined : this.#windows.observe(id, reading.cpu.usageMicroseconds, now, born),
      processes: reading.memory === undefined ? processMemory(processesOf(files)) : undefined,
    };
  }

  /** Keeps the windows short for those who ask rarely, and forgets what is no more. */
  #sample(): void {
    const { containers, sandboxes, clock } = this.#runtime;
    const records = [...containers.values()].map(({ record }) => record);
    const pods = [...sandboxes.values()].map(({ record }) => record);
    this.#windows.retain(new Set([...records, ...pods].map(({ id }) => id)));
    this.layers.retain(new Set(records.map(({ id }) => id)));
    for (const record of records) this.#sampleCpu(record.id, this.containerFiles(record), BigInt(record.startedAt), clock.nowNanos());
    for (const record of pods) this.#sampleCpu(record.id, this.sandboxFiles(record), undefined, clock.nowNanos());
  }

  #sampleCpu(id: string, files: CgroupFiles | undefined, born: bigint | undefined, now: bigint): void {
    const cpu = files === undefined ? undefined : readCpu(files);
    if (cpu !== undefined) this.#windows.observe(id, cpu.usageMicroseconds, now, born);
  }
}
