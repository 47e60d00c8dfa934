import { expect, test } from 'vitest';
import { IdIndex } from '../state/ids.ts';
import { filteredId, matchesLabels } from './filters.ts';

test('every label asked for must be there with its value', () => {
  expect(matchesLabels({ a: '1', b: '2' }, {})).toBe(true);
  expect(matchesLabels({ a: '1', b: '2' }, { b: '2', a: '1' })).toBe(true);
  expect(matchesLabels({ a: '1' }, { a: '1', b: '2' })).toBe(false);
  expect(matchesLabels({ a: '1' }, { a: '' })).toBe(false);
  expect(matchesLabels({}, { toString: 'x' })).toBe(false);
});

test('an id filter is none, an id, or an unambiguous prefix of one', () => {
  const index = new IdIndex<{ record: { id: string } }>();
  for (const id of ['ab1', 'ab2', 'c']) index.set(id, { record: { id } });
  expect(filteredId(index, '')).toBeUndefined();
  expect(filteredId(index, 'ab1')).toBe('ab1');
  expect(filteredId(index, 'ab2')).toBe('ab2');
  expect(filteredId(index, 'x')).toBe('x');
  expect(() => filteredId(index, 'ab')).toThrow(expect.objectContaining({ code: 'AMBIGUOUS_ID' }));
});
