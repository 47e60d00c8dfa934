import { expect, test } from 'vitest';
import { logRate, logRateAnnotation } from './log-rate.ts';

test('without an annotation the setting counts', () => {
  expect(logRate({ other: '1' }, 7)).toBe(7);
});

test.each([['0', 0], ['65536', 65536], ['64Ki', 65536], ['3k', 3000], ['1Mi', 1 << 20], ['2M', 2_000_000], ['1Gi', 2 ** 30]])('%s', (text, rate) => {
  expect(logRate({ [logRateAnnotation]: text }, 7)).toBe(rate);
});

test.each(['', '-1', '1.5', 'Ki', '1 k', '1kb', '2000Gi', '9999999999999999'])('%j is refused by name', (text) => {
  expect(() => logRate({ [logRateAnnotation]: text }, 7)).toThrow(expect.objectContaining({ code: 'INVALID_FIELD', message: expect.stringContaining(logRateAnnotation) as string }));
});
