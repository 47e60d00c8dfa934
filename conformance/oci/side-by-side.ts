/** Registers one test for each configuration: the same bundle, run by Berth's shim and by runc, is the same container. */

import { execFileSync } from 'node:child_process';
import { afterAll, expect, test } from 'vitest';
import { unifiedMount } from '../harness/cgroup-base.ts';
import { openWorkshop, runByRunc, runByShim } from './bundle.ts';
import type { Outcome, Workshop } from './bundle.ts';
import { configurations } from './configurations.ts';
import { documentedDifferences } from './documented-differences.ts';
import type { DocumentedDifference } from './documented-differences.ts';
import { parseFindings } from './probe.ts';
import type { Findings } from './probe.ts';

export function registerSideBySide(): void {
  const documented = documentedDifferences();
  const met = new Set<DocumentedDifference>();
  let workshop: Workshop | undefined;
  afterAll(() => workshop?.close());

  test('there are enough configurations', () => {
    expect(configurations.length).toBeGreaterThanOrEqual(20);
    expect(new Set(configurations.map(({ name }) => name)).size).toBe(configurations.length);
  });

  // Beside version 1 runc uses that, Berth the unified hierarchy: two mounts that have nothing in common.
  const comparable = configurations.filter(({ unifiedOnly }) => !unifiedOnly || unifiedMount() === '/sys/fs/cgroup');
  test.each(comparable)('$name', async ({ config }) => {
    workshop ??= openWorkshop();
    const wanted = config(workshop);
    const ours = findings(await runByShim(workshop, wanted), 'berth-shim');
    const theirs = withoutInherited(findings(await runByRunc(workshop, wanted), 'runc'));
    expect([...ours.keys()]).toEqual([...theirs.keys()]);
    const undocumented: string[] = [];
    for (const part of ours.keys()) undocumented.push(...differences(part, ours, theirs, documented, met));
    expect(undocumented.join('\n')).toBe('');
  });

  test('no difference is documented that does not show', () => {
    expect(documented.filter((difference) => !met.has(difference)).map(({ text }) => text)).toEqual([]);
  });
}

function findings(outcome: Outcome, who: string): Findings {
  if (outcome.exitCode !== 0) throw new Error(`${who} ended with ${outcome.exitCode}: ${outcome.stderr}\n${outcome.stdout.slice(-500)}`);
  const found = parseFindings(outcome.stdout);
  if ((found.get('status') ?? []).length === 0) throw new Error(`${who}: the probe found nothing: ${outcome.stderr}`);
  return found;
}

/**
 * runc hands the signals that its caller ignores on to the container, the shim does not; and make ignores some
 * (32 and 33, which Node leaves as they are), so the caller's are not counted.
 */
function withoutInherited(found: Findings): Findings {
  const inherited = ignoredSignals(execFileSync('cat', ['/proc/self/status'], { encoding: 'utf8' }));
  const status = (found.get('status') ?? []).map((line) =>
    line.startsWith('SigIgn:') ? `SigIgn: ${(ignoredSignals(line) & ~inherited).toString(16).padStart(16, '0')}` : line,
  );
  return new Map([...found, ['status', status]]);
}

function ignoredSignals(status: string): bigint {
  return BigInt(`0x${/^SigIgn:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? '0'}`);
}

/** Lines of one part that only one of the two shows and docs/security.md does not list; what it lists is added to `met`. */
function differences(part: string, ours: Findings, theirs: Findings, documented: readonly DocumentedDifference[], met: Set<DocumentedDifference>): string[] {
  const found: string[] = [];
  const sides = [['berth', ours.get(part) ?? [], theirs.get(part) ?? []], ['runc', theirs.get(part) ?? [], ours.get(part) ?? []]] as const;
  for (const [side, own, other] of sides) {
    const rest = [...other];
    for (const line of own) {
      const at = rest.indexOf(line);
      if (at >= 0) {
        rest.splice(at, 1);
        continue;
      }
      const known = documented.find((difference) => difference.part === part && difference[side]?.test(line) === true);
      if (known === undefined) found.push(`${part}, only ${side}: ${line}`);
      else met.add(known);
    }
  }
  return found;
}
