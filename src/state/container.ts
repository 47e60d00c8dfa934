import type { ContainerConfig__Output } from '../cri-server/generated/runtime/v1/ContainerConfig.ts';
import { BerthError } from '../errors/catalogue.ts';
import type { LedgerEntry } from './ledger.ts';
import { isObject } from './record-store.ts';
import type { StoredRecord } from './record-store.ts';

/**
 * The phases of a container:
 *
 *   creating ──► created ──► running ──► exited ──► (record removed)
 *       │           │                      ▲
 *       └───────────┴──────────────────────┘
 *
 * `exited` with `exitKnown` false is CONTAINER_EXITED with exit code 255 and reason Unknown: the shim
 * was lost and nobody saw the status.
 */
export type ContainerPhase = 'creating' | 'created' | 'running' | 'exited';

const origins: Readonly<Record<ContainerPhase, readonly ContainerPhase[]>> = {
  creating: [],
  created: ['creating'],
  running: ['created'],
  exited: ['creating', 'created', 'running'],
};

/** Environment values are text here: bytes that are no UTF-8 are refused at the edge. */
export type StoredContainerConfig = Omit<ContainerConfig__Output, 'envs'> & {
  readonly envs: readonly { readonly key: string; readonly value: string }[];
};

export interface ContainerRecord extends StoredRecord {
  readonly version: 1;
  readonly id: string;
  readonly sandboxId: string;
  readonly name: string;
  readonly phase: ContainerPhase;
  /** A stand-in for a record that could not be read. */
  readonly quarantined?: boolean;
  readonly config: StoredContainerConfig;
  readonly imageId: string;
  /** Directories of the layers in use, of the root and of mounted images; absent in records of older versions. */
  readonly layers?: readonly string[];
  /** The reference by which the image was asked for, in its repository-digest form where it has one. */
  readonly imageRef: string;
  readonly bootId: string;
  /** Nanoseconds since the epoch in decimal; "0" for not yet. */
  readonly createdAt: string;
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly pid: number;
  readonly exitCode: number;
  readonly exitKnown: boolean;
  readonly oomKilled: boolean;
  /** Why it could not be started or what became of it; empty when there is nothing to say. */
  readonly message: string;
  readonly user: { readonly uid: number; readonly gid: number; readonly groups: readonly number[] } | undefined;
  /** Absolute; empty for no log. */
  readonly logPath: string;
  /** Absolute directory. */
  readonly cgroupPath: string;
  readonly stopSignal: number;
  readonly ledger: readonly LedgerEntry[];
}

/** The record in its next phase. Throws INTERNAL when the change is not one of the diagram. */
export function containerTo(
  record: ContainerRecord,
  phase: ContainerPhase,
  changes: Partial<ContainerRecord> = {},
): ContainerRecord {
  if (!origins[phase].includes(record.phase)) {
    throw new BerthError('INTERNAL', `container ${record.id} cannot go from ${record.phase} to ${phase}`);
  }
  return { ...record, ...changes, phase };
}

/** Throws when the JSON is no container record of a version that this berthd knows. */
export function parseContainerRecord(value: unknown): ContainerRecord {
  const record = value as ContainerRecord;
  const whole =
    isObject(record) && record.version === 1 && Object.hasOwn(origins, record.phase) &&
    [record.id, record.name, record.sandboxId, record.bootId, record.imageId, record.cgroupPath].every((text) => typeof text === 'string') &&
    isObject(record.config) && isObject(record.config.metadata) && isObject(record.config.labels) && Array.isArray(record.config.mounts) &&
    Array.isArray(record.ledger) && [record.createdAt, record.startedAt, record.finishedAt].every((time) => /^\d+$/.test(time));
  if (!whole) throw new Error('not a container record of version 1');
  return record;
}
