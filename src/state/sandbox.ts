import type { PodSandboxConfig__Output } from '../cri-server/generated/runtime/v1/PodSandboxConfig.ts';
import { BerthError } from '../errors/catalogue.ts';
import type { LedgerEntry } from './ledger.ts';
import { isObject } from './record-store.ts';
import type { StoredRecord } from './record-store.ts';

/**
 * The phases of a sandbox:
 *
 *   creating ──► ready ──► stopped ──► (record removed)
 *       │                     ▲
 *       └─────────────────────┘  a creation that could not be undone wholly
 *
 * The CRI knows two states: `ready` is SANDBOX_READY, the others are SANDBOX_NOTREADY.
 */
export type SandboxPhase = 'creating' | 'ready' | 'stopped';

const origins: Readonly<Record<SandboxPhase, readonly SandboxPhase[]>> = {
  creating: [],
  ready: ['creating'],
  stopped: ['creating', 'ready', 'stopped'],
};

export interface SandboxRecord extends StoredRecord {
  readonly version: 1;
  readonly id: string;
  readonly name: string;
  readonly phase: SandboxPhase;
  readonly config: PodSandboxConfig__Output;
  readonly runtimeHandler: string;
  /** Nanoseconds since the epoch, in decimal. */
  readonly createdAt: string;
  readonly bootId: string;
  readonly ips: readonly string[];
  readonly cniResult: unknown;
  readonly hostname: string;
  /**
   * `path`: absolute directory below which the containers' cgroups are. `made`: of it and its parents
   * those that Berth made, topmost first. `own`: made for this sandbox alone.
   */
  readonly cgroup: { readonly path: string; readonly made: readonly string[]; readonly own: boolean };
  readonly ledger: readonly LedgerEntry[];
}

/** The record in its next phase. Throws INTERNAL when the change is not one of the diagram. */
export function sandboxTo(record: SandboxRecord, phase: SandboxPhase, changes: Partial<SandboxRecord> = {}): SandboxRecord {
  if (!origins[phase].includes(record.phase)) {
    throw new BerthError('INTERNAL', `sandbox ${record.id} cannot go from ${record.phase} to ${phase}`);
  }
  return { ...record, ...changes, phase };
}

/** Throws when the JSON is no sandbox record of a version that this berthd knows. */
export function parseSandboxRecord(value: unknown): SandboxRecord {
  const record = value as SandboxRecord;
  const whole =
    isObject(record) && record.version === 1 && [record.id, record.name, record.bootId].every((text) => typeof text === 'string') &&
    Object.hasOwn(origins, record.phase) && isObject(record.config) && isObject(record.config.metadata) &&
    isObject(record.config.labels) && isObject(record.config.annotations) && Array.isArray(record.config.port_mappings) &&
    isObject(record.cgroup) && typeof record.cgroup.path === 'string' && Array.isArray(record.cgroup.made) &&
    Array.isArray(record.ledger) && Array.isArray(record.ips) && /^\d+$/.test(record.createdAt);
  if (!whole) throw new Error('not a sandbox record of version 1');
  return record;
}

/** Names are reserved by (namespace, name, uid, attempt). */
export function sandboxName(config: PodSandboxConfig__Output): string {
  const metadata = config.metadata;
  return [metadata?.name, metadata?.namespace, metadata?.uid, metadata?.attempt].join('_');
}
