import { readFile, writeFile } from 'node:fs/promises';
import type { Logger } from 'pino';
import { invalidField, wrapError } from '../errors/catalogue.ts';
import type { Undo } from './transaction.ts';

/** Throws INVALID_FIELD for what is no oom_score_adj (proc_pid_oom_score_adj(5)). */
export function validateOomScore(score: string, field: string): void {
  if (BigInt(score) < -1000n || BigInt(score) > 1000n) throw invalidField(field, `${score} is not between -1000 and 1000`);
}

/** CAP_SYS_RESOURCE (include/uapi/linux/capability.h). */
const capSysResource = 1n << 24n;

/**
 * The lowest score that berthd may give away: without CAP_SYS_RESOURCE nobody gets below what berthd itself
 * has (fs/proc/base.c, __set_oom_adj).
 */
export async function lowestOomScore(): Promise<number> {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(await readFile('/proc/self/status', 'utf8'))?.[1] ?? '0';
  if ((BigInt(`0x${effective}`) & capSysResource) !== 0n) return -1000;
  return Number(await readFile('/proc/self/oom_score_adj', 'utf8'));
}

/** The score that the container can have, with a warning where it is not the one asked for. */
export function permittedOomScore(wanted: number, lowest: number, log: Logger): number {
  if (wanted >= lowest) return wanted;
  log.warn({ wanted, given: lowest }, 'oom_score_adj cannot be lowered without CAP_SYS_RESOURCE; the container gets what berthd has');
  return lowest;
}

/** Gives the process its score; returns what puts back the old one. */
export async function replaceOomScore(pid: number, score: number): Promise<Undo> {
  const file = `/proc/${pid}/oom_score_adj`;
  try {
    const before = await readFile(file, 'utf8');
    await writeFile(file, String(score));
    return () => writeFile(file, before);
  } catch (cause) {
    throw wrapError(`write "${score}" to ${file}`, cause, 'CGROUP_FAILED');
  }
}
