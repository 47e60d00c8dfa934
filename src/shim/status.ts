import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readNativeError } from './native-error.ts';
import type { NativeError } from './native-error.ts';

/** States of a shim: creating → created → running → exited, and creating → failed. */
export type ShimState = 'creating' | 'created' | 'running' | 'exited' | 'failed';

/** Log entries of a container that are not in its log, by reason: the file did not take them, they went beyond the rate limit. */
export interface LogLosses {
  readonly logDropped: number;
  readonly logLimited: number;
}

/** status.json: what the shim knows of its container. Times are nanoseconds since the epoch, 0n for not yet. */
export interface ShimStatus extends LogLosses {
  readonly state: ShimState;
  readonly shimPid: number;
  readonly pid: number;
  readonly createdAt: bigint;
  readonly startedAt: bigint;
  readonly finishedAt: bigint;
  readonly exitCode: number;
  /** Non-zero: killed by it, and exitCode is 128 + signal. */
  readonly signal: number;
  readonly oomKilled: boolean;
  readonly user: { readonly uid: number; readonly gid: number; readonly groups: readonly number[] } | undefined;
  readonly error: NativeError | undefined;
}

const states: ReadonlySet<unknown> = new Set<ShimState>(['creating', 'created', 'running', 'exited', 'failed']);

/** From the JSON of status.json, SUBSCRIBE or EVENT. Undefined when it has no valid state. */
export function parseShimStatus(value: Record<string, unknown>): ShimStatus | undefined {
  if (!states.has(value['state'])) return undefined;
  const number = (key: string) => (typeof value[key] === 'number' ? value[key] : 0);
  const nanos = (key: string) => (typeof value[key] === 'string' && /^\d+$/.test(value[key]) ? BigInt(value[key]) : 0n);
  const error = value['error'];
  return {
    state: value['state'] as ShimState,
    shimPid: number('shimPid'),
    pid: number('pid'),
    createdAt: nanos('createdAt'),
    startedAt: nanos('startedAt'),
    finishedAt: nanos('finishedAt'),
    exitCode: number('exitCode'),
    signal: number('signal'),
    oomKilled: value['oomKilled'] === true,
    logDropped: number('logDropped'),
    logLimited: number('logLimited'),
    user: parseUser(value['user']),
    error: typeof error === 'object' && error !== null ? readNativeError(error as Record<string, unknown>) : undefined,
  };
}

function parseUser(value: unknown): ShimStatus['user'] {
  if (typeof value !== 'object' || value === null) return undefined;
  const { uid, gid, groups } = value as Record<string, unknown>;
  if (typeof uid !== 'number' || typeof gid !== 'number') return undefined;
  return { uid, gid, groups: Array.isArray(groups) ? groups.filter((group) => typeof group === 'number') : [] };
}

/** Reads `stateDir/status.json`. Undefined when it is absent or no status. */
export async function readShimStatus(stateDir: string): Promise<ShimStatus | undefined> {
  try {
    const value: unknown = JSON.parse(await readFile(join(stateDir, 'status.json'), 'utf8'));
    return typeof value === 'object' && value !== null ? parseShimStatus(value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
