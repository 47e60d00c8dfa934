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

/** Undefined when the kernel has no pressure accounting, or it is switched off for the cgroup. */
export function parsePressure(text: string | undefined): Pressure | undefined {
  if (text === undefined) return undefined;
  const some = pressureLineOf(text, 'some');
  const full = pressureLineOf(text, 'full');
  return some === undefined && full === undefined ? undefined : { some, full };
}

/** `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, without a regular expression: there are three files for each container. */
function pressureLineOf(text: string, kind: 'some' | 'full'): PressureLine | undefined {
  const from = text.startsWith(`${kind} `) ? 0 : text.indexOf(`\n${kind} `) + 1;
  if (from === 0 && !text.startsWith(`${kind} `)) return undefined;
  const end = text.indexOf('\n', from);
  const line = text.slice(from, end === -1 ? undefined : end);
  const number = (key: string): number => {
    const at = line.indexOf(key);
    const space = line.indexOf(' ', at);
    return at === -1 ? NaN : Number(line.slice(at + key.length, space === -1 ? undefined : space));
  };
  const figures = { average10: number('avg10='), average60: number('avg60='), average300: number('avg300='), totalMicroseconds: number('total=') };
  return Object.values(figures).some(Number.isNaN) ? undefined : figures;
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
