import { BerthError } from '../errors/catalogue.ts';
import { readLimit, writeLimit } from './interface-files.ts';
import type { CgroupWrite } from './limits.ts';

/** Puts back what was there before. Tries every file; rejects with CGROUP_FAILED naming those that stay changed. */
export type Undo = () => Promise<void>;

export interface Change extends CgroupWrite {
  readonly before: string;
}

/**
 * Writes all the limits or none: the values of before are read first, and written back in reverse when one
 * write fails. A memory limit below what is in use is refused with LIMIT_BELOW_USAGE, since the kernel would
 * answer it with an OOM kill (cgroup-v2.rst, memory.max).
 */
export async function replaceLimits(directory: string, writes: readonly CgroupWrite[]): Promise<Undo> {
  const changes = await readChanges(directory, lastOfEach(writes));
  for (const change of changes) await refuseBelowUsage(directory, change);
  const begun: Change[] = [];
  const undo = () => restore(directory, begun.toReversed());
  try {
    for (const change of inSafeOrder(changes)) {
      begun.push(change);
      await writeLimit(directory, change);
    }
  } catch (cause) {
    await undo().catch((left: unknown) => {
      throw new BerthError('CGROUP_FAILED', `${messageOf(cause)}; then ${messageOf(left)}`, { cause });
    });
    throw cause;
  }
  return undo;
}

/** Of several values for one file the last counts, as when they are written one after another. */
function lastOfEach(writes: readonly CgroupWrite[]): CgroupWrite[] {
  return [...new Map(writes.map((write) => [write.file, write])).values()];
}

async function readChanges(directory: string, writes: readonly CgroupWrite[]): Promise<Change[]> {
  const changes: Change[] = [];
  for (const write of writes) {
    const before = await readLimit(directory, write);
    if (before !== undefined) changes.push({ ...write, before });
  }
  return changes;
}

async function refuseBelowUsage(directory: string, { file, value }: Change): Promise<void> {
  if (file !== 'memory.max' || !/^\d+$/.test(value)) return;
  const usage = (await readLimit(directory, { file: 'memory.current', value: '', optional: true })) ?? '0';
  if (BigInt(value) >= BigInt(usage)) return;
  throw new BerthError('LIMIT_BELOW_USAGE', `cgroup ${directory}: memory.max ${value} is below the usage of ${usage} bytes`);
}

/**
 * What grows goes first, in order, and what shrinks last, in reverse: pages find the swap that is to take
 * them, cpu.max.burst never exceeds cpu.max. A smaller memory.max, whose reclaim cannot be undone, is the very last.
 */
export function inSafeOrder(changes: readonly Change[]): Change[] {
  const shrinking = changes.filter(shrinks).toReversed();
  return [
    ...changes.filter((change) => !shrinks(change)),
    ...shrinking.filter(({ file }) => file !== 'memory.max'),
    ...shrinking.filter(({ file }) => file === 'memory.max'),
  ];
}

function shrinks({ value, before }: Change): boolean {
  return amount(value) < amount(before);
}

/** Not a number for what has no order, such as a list of CPUs: then nothing shrinks. */
function amount(value: string): number {
  const word = value.split(/\s/, 1)[0] ?? '';
  return word === 'max' ? Infinity : word === '' ? Number.NaN : Number(word);
}

async function restore(directory: string, changes: readonly Change[]): Promise<void> {
  const left: string[] = [];
  for (const change of changes) {
    await writeLimit(directory, { file: change.file, value: valueOfBefore(change) }).catch((cause: unknown) => left.push(messageOf(cause)));
  }
  if (left.length > 0) throw new BerthError('CGROUP_FAILED', `not put back: ${left.join('; ')}`);
}

/** A device that had no line in io.max before is told to have no limit again; leaving it out would change nothing. */
function valueOfBefore({ file, value, before }: Change): string {
  if (file !== 'io.max') return before;
  const devices = new Set(before.split('\n').map(deviceOf));
  const added = value.split('\n').map(deviceOf).filter((device) => !devices.has(device));
  return [before, ...added.map((device) => `${device} rbps=max wbps=max riops=max wiops=max`)].filter((line) => line !== '').join('\n');
}

function deviceOf(line: string): string {
  return line.split(' ', 1)[0] ?? '';
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
