import type { CgroupDetail } from '../../cgroup/readings.ts';
import type { ContainerRecord } from '../../state/container.ts';
import type { Observation } from './collector.ts';
import type { DiskUsage } from './disk-usage.ts';

/** What the metrics of one container are made from. */
export interface ContainerSource {
  readonly record: ContainerRecord;
  readonly seen: Observation;
  readonly detail: CgroupDetail;
  readonly processes: number;
  readonly threads: number;
  readonly descriptors: { readonly open: number; readonly sockets: number };
  /** RLIMIT_NOFILE's soft limit of the container's first process. */
  readonly openFilesLimit: number | undefined;
  readonly layer: DiskUsage | undefined;
  readonly fileSystem: FileSystem;
}

/** The file system of the writable layers. */
export interface FileSystem {
  /** /dev/vda1, or what else it is mounted from. */
  readonly device: string;
  readonly bytes: bigint;
  readonly inodes: bigint;
  readonly inodesFree: bigint;
}

/** A value with those of the labels that its family has beside the common ones. */
export interface Sample {
  readonly labels?: readonly string[];
  readonly value: number | bigint | string;
}

/** One metric: what ListMetricDescriptors says of it, and how its samples are found. */
export interface Family<Source> {
  readonly name: string;
  readonly help: string;
  readonly type: 'COUNTER' | 'GAUGE';
  /** Beside the common ones. */
  readonly labels?: readonly string[];
  /** Reported only where the kernel offers this controller. */
  readonly controller?: string;
  /** None where the kernel does not tell. */
  readonly samples: (source: Source) => readonly Sample[];
}

/** No sample where there is no value. */
export function one(value: number | bigint | string | undefined): readonly Sample[] {
  return value === undefined ? [] : [{ value }];
}

/** The contract carries integers only: whole seconds, as other runtimes report. */
export function secondsOfMicros(microseconds: number): number {
  return Math.floor(microseconds / 1e6);
}
