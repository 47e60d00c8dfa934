/** Reads container logs in the CRI format: `TIME STREAM P|F TEXT`. */

import { readFile } from 'node:fs/promises';

export interface LogLine {
  readonly time: string;
  readonly stream: 'stdout' | 'stderr';
  readonly partial: boolean;
  readonly text: string;
}

const LINE = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)) (stdout|stderr) ([PF])(?::[^ ]*)? (.*)$/s;

/** Every line of the file; throws at the first that is not in the format. */
export async function readCriLog(path: string): Promise<LogLine[]> {
  const content = await readFile(path, 'utf8');
  if (content === '') return [];
  if (!content.endsWith('\n')) throw new Error(`${path}: the last line has no end`);
  return content.slice(0, -1).split('\n').map((line, index) => {
    const [, time, stream, tag, text] = LINE.exec(line) ?? [];
    if (time === undefined) throw new Error(`${path}:${index + 1} is not in the CRI log format: ${line.slice(0, 200)}`);
    return { time, stream: stream === 'stderr' ? 'stderr' : 'stdout', partial: tag === 'P', text: text ?? '' };
  });
}

/** What the container wrote to a stream, put together again. */
export function textOf(lines: readonly LogLine[], stream: 'stdout' | 'stderr'): string {
  return lines.filter((line) => line.stream === stream).map((line) => (line.partial ? line.text : `${line.text}\n`)).join('');
}
