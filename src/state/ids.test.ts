import { expect, test } from 'vitest';
import { IdIndex, isFullId, newId } from './ids.ts';

test('ids are 64 hexadecimal digits and differ', () => {
  expect(isFullId(newId())).toBe(true);
  expect(newId()).not.toBe(newId());
  for (const text of ['', 'a'.repeat(63), 'A'.repeat(64), 'g'.repeat(64), `${'a'.repeat(64)}\n`]) expect(isFullId(text)).toBe(false);
});

const one = `ab1${'0'.repeat(61)}`;
const two = `ab2${'0'.repeat(61)}`;

function index(): IdIndex<string> {
  const objects = new IdIndex<string>();
  objects.set(one, 'one');
  objects.set(two, 'two');
  return objects;
}

test('finds by id and by unambiguous prefix', () => {
  expect(index().find(one)).toBe('one');
  expect(index().find('ab2')).toBe('two');
  expect(index().find('c')).toBeUndefined();
  expect(index().find('')).toBeUndefined();
  expect(index().find(`${one}0`)).toBeUndefined();
});

test('an ambiguous prefix is refused, until it is none any more', () => {
  const objects = index();
  expect(() => objects.find('ab')).toThrow(expect.objectContaining({ code: 'AMBIGUOUS_ID' }));
  objects.delete(one);
  expect(objects.find('ab')).toBe('two');
  expect(objects.size).toBe(1);
});

test('an id that is the prefix of another is found by itself', () => {
  const objects = new IdIndex<number>();
  objects.set('ab', 1);
  objects.set('abc', 2);
  expect(objects.find('ab')).toBe(1);
});

test('get names what was looked for', () => {
  expect(() => index().get('c', 'sandbox', 'SANDBOX_NOT_FOUND')).toThrow(
    expect.objectContaining({ code: 'SANDBOX_NOT_FOUND', message: 'sandbox "c" not found' }),
  );
  expect([...index().values()]).toEqual(['one', 'two']);
});
