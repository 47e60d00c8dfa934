/** How a machine's end is told: an exit code and a line for people. */

import type { End, Run } from './machine.ts';

/** Also what wrong settings give. */
export const EXIT_CANNOT_RUN = 2;
const EXIT_CODES = { timeout: 124, lost: 125, interrupted: 130, 'power-cut': 137 } as const;
const CONSOLE_LINES = 25;

export function exitCodeOf(end: End): number {
  return end.kind === 'ended' ? end.code : EXIT_CODES[end.kind];
}

/** A fault of the emulator, not of what ran: first-init.sh tells which. Other branches of the kernel may still meet it. */
export function isEmulatorsFault({ end, accelerator }: Pick<Run, 'end' | 'accelerator'>): boolean {
  return accelerator === 'tcg' && end.kind === 'lost' && end.console.includes('Oops: int3');
}

const WORDS = {
  timeout: 'timed out',
  lost: 'the machine ended without a result',
  interrupted: 'interrupted',
  'power-cut': 'the power was cut, as asked',
} as const;

export function explain({ end, accelerator, bootMs, totalMs }: Run): string {
  const seconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(1)} s`;
  const boot = bootMs === undefined ? 'the command did not start' : `booted in ${seconds(bootMs)}`;
  const what = end.kind === 'ended' ? `exit code ${end.code}` : WORDS[end.kind];
  const last = end.kind === 'lost' ? end.console.trimEnd().split('\n').slice(-CONSOLE_LINES).map((line) => `\n  ${line}`).join('') : '';
  return `${what}; ${boot} (${accelerator}), ${seconds(totalMs)} in all${last}`;
}
