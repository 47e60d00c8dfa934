import { expect, test } from 'vitest';

import { parseQuantity } from './quantity.ts';

test.each([
  ['0', 0n],
  ['12', 12n],
  ['+5', 5n],
  ['-5', -5n],
  ['1k', 1000n],
  ['10M', 10_000_000n],
  ['1.5Gi', 1_610_612_736n],
  ['.5k', 500n],
  ['1.', 1n],
  ['1500m', 2n],
  ['1n', 1n],
  ['1e3', 1000n],
  ['12E', 12n * 10n ** 18n],
  ['1E3', 1000n],
  ['25e-1', 3n],
  ['2Ei', 2n * 1024n ** 6n],
])('%s is %s', (text, value) => {
  expect(parseQuantity(text)).toBe(value);
});

test.each(['', 'M', '1KB', '1ki', '1 k', '0x10', '1e', '1e1000', '1.2.3', 'NaN'])('%j is no quantity', (text) => {
  expect(parseQuantity(text)).toBeUndefined();
});
