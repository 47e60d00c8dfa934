import type { Readable } from 'node:stream';

/** One size is some 25 bytes; more without an end is not a size. */
const maxPending = 1024;

/** Reads the terminal's sizes from a stream of JSON objects, `{"Width":80,"Height":24}`. What is no size is passed over. */
export function onResize(source: Readable, resize: (columns: number, rows: number) => void): void {
  let pending = '';
  source.on('data', (chunk: Buffer) => {
    pending += chunk.toString('latin1');
    for (let end = pending.indexOf('}'); end !== -1; end = pending.indexOf('}')) {
      const size = parseSize(pending.slice(pending.indexOf('{'), end + 1));
      pending = pending.slice(end + 1);
      if (size !== undefined) resize(size.columns, size.rows);
    }
    if (pending.length > maxPending) pending = '';
  });
}

function parseSize(text: string): { columns: number; rows: number } | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { Width: columns, Height: rows } = value as { Width?: unknown; Height?: unknown };
  return isSide(columns) && isSide(rows) ? { columns, rows } : undefined;
}

/** A terminal's sides are 16 bits wide; 0 would be no terminal at all. */
function isSide(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) > 0 && (value as number) <= 0xffff;
}
