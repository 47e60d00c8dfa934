import type { Logger } from 'pino';
import { step } from '../telemetry/steps.ts';
import { untilAborted } from './keyed-lock.ts';

/**
 * What an object may hold on the machine, outside its own record. An entry is written down before the
 * thing is acquired and struck out after it has been released, so an entry says "perhaps there", and
 * every release succeeds on what is not.
 */
export type LedgerEntry = 'directory' | 'cgroup' | 'namespaces' | 'network' | 'shim' | 'image';

/** One deadline for each release, in ms: a release that hangs must not keep the others from their turn. */
const releaseDeadline = 30_000;

/**
 * Releases the entries in reverse order, trying every one. Returns those that failed, in ledger order;
 * they stay in the record and are tried again at the next Stop, Remove or start. `failed` is told of each.
 */
export async function releaseEntries(
  entries: readonly LedgerEntry[],
  release: (entry: LedgerEntry, signal: AbortSignal) => Promise<void>,
  log: Logger,
  failed: (entry: LedgerEntry) => void = () => undefined,
): Promise<{ left: LedgerEntry[]; errors: unknown[] }> {
  const left: LedgerEntry[] = [];
  const errors: unknown[] = [];
  for (const entry of entries.toReversed()) {
    try {
      const signal = AbortSignal.timeout(releaseDeadline);
      await step(`release.${entry}`, () => untilAborted(release(entry, signal), signal));
    } catch (err) {
      log.warn({ err, entry }, 'release failed; it stays in the ledger');
      failed(entry);
      left.unshift(entry);
      errors.push(err);
    }
  }
  return { left, errors };
}
