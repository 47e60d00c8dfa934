/** Checks a log whose programs count: every number once, in order, on each stream, over all of its files. */

import { createReadStream } from 'node:fs';
import type { LogLine } from './cri-log.ts';

const ENTRY = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z (stdout|stderr) ([PF]) (\d*)$/;

/** How far each stream has counted, after these files in the order in which they were written. Throws at the first entry that is not the next. */
export async function countedTo(files: readonly string[]): Promise<Record<LogLine['stream'], number>> {
  const reached = { stdout: 0, stderr: 0 };
  const begun = { stdout: '', stderr: '' };
  for (const file of files) {
    let rest = '';
    for await (const chunk of createReadStream(file, { encoding: 'latin1', highWaterMark: 1 << 20 })) {
      const lines = (rest + String(chunk)).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) take(line, file);
    }
    if (rest !== '') throw new Error(`${file}: the last line has no end: ${rest}`);
  }
  return reached;

  function take(line: string, file: string): void {
    const [, name, tag, digits = ''] = ENTRY.exec(line) ?? [];
    if (name !== 'stdout' && name !== 'stderr') throw new Error(`${file}: not a whole entry: ${line}`);
    begun[name] += digits;
    if (tag === 'P') return;
    if (Number(begun[name]) !== reached[name] + 1) throw new Error(`${file}: ${name} has ${begun[name]} after ${reached[name]}`);
    reached[name] += 1;
    begun[name] = '';
  }
}
