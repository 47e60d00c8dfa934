/** The formats of cgroup interface files (Documentation/admin-guide/cgroup-v2.rst, "Format"). */

/** The value of one key of a flat keyed file (`KEY VALUE` per line); undefined when it is not there. */
export function keyedValue(text: string, key: string): number | undefined {
  const at = text.startsWith(`${key} `) ? 0 : text.indexOf(`\n${key} `) + 1;
  if (at === 0 && !text.startsWith(`${key} `)) return undefined;
  const end = text.indexOf('\n', at);
  return decimal(text.slice(at + key.length + 1, end === -1 ? undefined : end));
}

/** A file with one number; undefined also for the word `max`. */
export function singleValue(text: string | undefined): number | undefined {
  return text === undefined ? undefined : decimal(text.trim());
}

function decimal(digits: string): number | undefined {
  return /^\d+$/.test(digits) ? Number(digits) : undefined;
}

/** One line of a pressure file (Documentation/accounting/psi.rst). */
export interface PressureLine {
  /** Percent of the last 10, 60 and 300 seconds. */
  readonly average10: number;
  readonly average60: number;
  readonly average300: number;
  readonly totalMicroseconds: number;
}

/** `some`: at least one task stalled; `full`: all that were not idle at once. */
export interface Pressure {
  readonly some: PressureLine | undefined;
  readonly full: PressureLine | undefined;
}

const pressureLine = /^(some|full) avg10=([\d.]+) avg60=([\d.]+) avg300=([\d.]+) total=(\d+)$/gm;

/** Undefined when the kernel has no pressure accounting, or it is switched off for the cgroup. */
export function parsePressure(text: string | undefined): Pressure | undefined {
  if (text === undefined) return undefined;
  const lines: { some: PressureLine | undefined; full: PressureLine | undefined } = { some: undefined, full: undefined };
  for (const [, kind, average10, average60, average300, total] of text.matchAll(pressureLine)) {
    lines[kind as 'some' | 'full'] = {
      average10: Number(average10),
      average60: Number(average60),
      average300: Number(average300),
      totalMicroseconds: Number(total),
    };
  }
  return lines.some === undefined && lines.full === undefined ? undefined : lines;
}

/** What one block device has done for a cgroup. Decimal, because a fast device passes 2^53 bytes. */
export interface DeviceIo {
  readonly major: string;
  readonly minor: string;
  readonly readBytes: string;
  readonly writeBytes: string;
  readonly reads: string;
  readonly writes: string;
}

/** `MAJOR:MINOR rbytes=N wbytes=N rios=N wios=N …` per line; a device without figures has only its number. */
export function parseIoStat(text: string | undefined): DeviceIo[] | undefined {
  return text?.split('\n').flatMap((line) => {
    const match = /^(\d+):(\d+) .*?rbytes=(\d+) wbytes=(\d+) rios=(\d+) wios=(\d+)/.exec(line);
    if (match === null) return [];
    const [major = '', minor = '', readBytes = '', writeBytes = '', reads = '', writes = ''] = match.slice(1);
    return [{ major, minor, readBytes, writeBytes, reads, writes }];
  });
}

/** The numbers of a list with one per line. */
export function parseNumbers(text: string | undefined): number[] {
  return text === undefined ? [] : text.split('\n').filter((line) => line !== '').map(Number);
}
