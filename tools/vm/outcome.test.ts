import { expect, test } from 'vitest';
import { explain, exitCodeOf, isEmulatorsFault } from './outcome.ts';

test.each([
  [{ kind: 'ended', code: 43 }, 43],
  [{ kind: 'timeout' }, 124],
  [{ kind: 'lost', console: '' }, 125],
  [{ kind: 'interrupted' }, 130],
  [{ kind: 'power-cut' }, 137],
] as const)('%o is exit code %d', (end, code) => {
  expect(exitCodeOf(end)).toBe(code);
});

test('a run is told in one line', () => {
  const run = { end: { kind: 'ended', code: 0 }, accelerator: 'tcg', bootMs: 3449, totalMs: 5000 } as const;
  expect(explain(run)).toBe('exit code 0; booted in 3.4 s (tcg), 5.0 s in all');
});

test('of a machine that was lost, the end of its console is shown', () => {
  const console = `${Array.from({ length: 100 }, (_, index) => `line ${index}`).join('\n')}\n`;
  const told = explain({ end: { kind: 'lost', console }, accelerator: 'kvm', bootMs: undefined, totalMs: 1000 });
  expect(told).toMatch(/^the machine ended without a result; the command did not start \(kvm\), 1\.0 s in all\n/);
  expect(told).toMatch(/\n {2}line 99$/);
  expect(told).not.toContain('line 50');
});

test('the emulator is at fault where an emulated kernel has met half an instruction', () => {
  const end = { kind: 'lost', console: '[ 2.8] Oops: int3: 0000 [#1] PREEMPT SMP\n' } as const;
  expect(isEmulatorsFault({ end, accelerator: 'tcg' })).toBe(true);
  expect(isEmulatorsFault({ end, accelerator: 'kvm' })).toBe(false);
  expect(isEmulatorsFault({ end: { kind: 'lost', console: 'Oops: general protection fault' }, accelerator: 'tcg' })).toBe(false);
  expect(isEmulatorsFault({ end: { kind: 'timeout' }, accelerator: 'tcg' })).toBe(false);
});
