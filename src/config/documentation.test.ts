import { readFileSync } from 'node:fs';
import { parse } from 'smol-toml';
import { expect, test } from 'vitest';
import { settingProblem, settings } from './settings.ts';

const text = readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8');

/** Key → the cells of its row. */
const rows = new Map(
  text
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.split('|').slice(1, -1).map((cell) => cell.trim()))
    .map((cells) => [cells[0]?.replaceAll('`', '') ?? '', cells] as const),
);

test.each(settings)('$key stands in docs/configuration.md with flag and default', ({ key, flag, default: value }) => {
  const [, flagCell, defaultCell] = rows.get(key) ?? [];
  expect(/^`--([a-z-]+)/.exec(flagCell ?? 'no row')?.[1]).toBe(flag);
  expect(defaultCell?.replaceAll('`', '')).toBe(JSON.stringify(value).replaceAll('","', '", "'));
});

test('and nothing else does', () => {
  expect([...rows.keys()].toSorted()).toEqual(settings.map(({ key }) => key).toSorted());
});

test('every default fits its own kind', () => {
  for (const { key, kind, default: value } of settings) expect([key, settingProblem(kind, value)]).toEqual([key, undefined]);
});

test('the example is a valid file', () => {
  const example = parse(/```toml\n(.*?)```/s.exec(text)?.[1] ?? '');
  const keys = Object.entries(example).flatMap(([name, value]) =>
    typeof value === 'object' && !Array.isArray(value) ? Object.keys(value).map((key) => `${name}.${key}`) : [name],
  );
  expect(keys.length).toBeGreaterThan(2);
  for (const key of keys) expect(settings.map((setting) => setting.key)).toContain(key);
});
