import { expect, test } from 'vitest';
import { Tokens } from './tokens.ts';

function make(maxPending = 10): { tokens: Tokens<string>; pass: (ms: number) => void } {
  let now = 0n;
  const tokens = new Tokens<string>({ maxPending, lifetimeMs: 60_000, clock: { nowNanos: () => now } });
  return { tokens, pass: (ms) => void (now += BigInt(ms) * 1_000_000n) };
}

test('a token is good once', () => {
  const { tokens } = make();
  const token = tokens.issue('what');
  expect(tokens.peek(token)).toBe('what');
  expect(tokens.take(token)).toBe('what');
  expect(tokens.take(token)).toBeUndefined();
  expect(tokens.size).toBe(0);
});

test('and for a minute', () => {
  const { tokens, pass } = make();
  const [first, second] = [tokens.issue('first'), (pass(30_000), tokens.issue('second'))];
  pass(29_999);
  expect(tokens.peek(first)).toBe('first');
  pass(1);
  expect([tokens.peek(first), tokens.take(first), tokens.take(second)]).toEqual([undefined, undefined, 'second']);
});

test('it says nothing of itself: 256 random bits, safe in a URL', () => {
  const { tokens } = make(1000);
  const all = Array.from({ length: 1000 }, () => tokens.issue('x'));
  expect(new Set(all).size).toBe(1000);
  for (const token of all) expect(token).toMatch(/^[\w-]{43}$/);
});

test('those that nobody uses are limited, until they expire or are used', () => {
  const { tokens, pass } = make(2);
  const first = tokens.issue('1');
  tokens.issue('2');
  expect(() => tokens.issue('3')).toThrow(expect.objectContaining({ code: 'STREAMS_EXHAUSTED' }));
  tokens.take(first);
  tokens.issue('3');
  expect(() => tokens.issue('4')).toThrow(/2 streaming URLs/);
  pass(60_000);
  expect(tokens.size).toBe(0);
  tokens.issue('4');
});

test('what was never issued is nothing', () => {
  const { tokens } = make();
  tokens.issue('x');
  for (const token of ['', 'a', '__proto__', 'constructor']) expect(tokens.take(token)).toBeUndefined();
  tokens.close();
  expect(tokens.size).toBe(0);
});
