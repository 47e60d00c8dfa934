/** The differences between Berth's shim and runc that docs/security.md lists, each with its reason. */

import { readFileSync } from 'node:fs';

export interface DocumentedDifference {
  /** A part of the probe's findings. */
  readonly part: string;
  /** Lines that only runc's container shows, and only Berth's; `*` in them stands for anything. */
  readonly runc: RegExp | undefined;
  readonly berth: RegExp | undefined;
  readonly text: string;
}

const heading = '### Differences from runc';

export function documentedDifferences(): readonly DocumentedDifference[] {
  const text = readFileSync(new URL('../../docs/security.md', import.meta.url), 'utf8');
  const section = text.split(`${heading}\n`)[1]?.split(/^#+ /m)[0] ?? '';
  const rows = section.split('\n').filter((line) => line.startsWith('|')).slice(2);
  return rows.map((row) => {
    const [part = '', runc = '', berth = '', reason = ''] = row.split(/(?<!\\)\|/).slice(1).map((cell) => cell.trim());
    if (reason === '' || (runc === '' && berth === '')) throw new Error(`docs/security.md, "${heading}": a row without reason or lines: ${row}`);
    return { part, runc: pattern(runc), berth: pattern(berth), text: row };
  });
}

function pattern(cell: string): RegExp | undefined {
  const code = /^`(.*)`$/.exec(cell)?.[1]?.replaceAll('\\|', '|');
  if (code === undefined) return undefined;
  return new RegExp(`^${code.split('*').map((piece) => piece.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&')).join('.*')}$`);
}
