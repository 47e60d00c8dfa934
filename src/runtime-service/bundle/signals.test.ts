import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { criSignal, signalNumber, stopSignal } from './signals.ts';

test.each([
  ['SIGTERM', 15], ['TERM', 15], ['sigterm', 15], ['15', 15], ['SIGQUIT', 3], ['64', 64], ['SIGRTMIN', 34], ['RTMIN+3', 37], ['SIGRTMAX', 64],
  ['SIGRTMAX-14', 50], ['SIGRTMIN+30', 64], ['SIGCLD', 17], ['SIGPOLL', 29], ['SIGIO', 29],
])('%s is %i', (text, number) => {
  expect(signalNumber(text)).toBe(number);
});

test.each(['', '0', '65', '-1', '1.5', 'SIGNOPE', 'RTMIN-1', 'RTMAX+1', 'RTMIN+31', 'RTMAX-31', 'toString', 'SIG', '15 '])('%j is none', (text) => {
  expect(signalNumber(text)).toBeUndefined();
});

test('every number has a name that the contract has, and that means it', () => {
  const contract = readFileSync(new URL('../../../proto/cri/v1/api.proto', import.meta.url), 'utf8');
  // 32 and 33 are the C library's own.
  for (let number = 1; number <= 64; number++) {
    if (number === 32 || number === 33) continue;
    const name = criSignal(number);
    expect(contract).toMatch(new RegExp(`\\b${name} = \\d+;`));
    expect(stopSignal(name, '')).toBe(number);
  }
});

test('the request wins over the image, which wins over SIGTERM', () => {
  expect(stopSignal('SIGNAL_SIGUSR1', 'SIGQUIT')).toBe(10);
  expect(stopSignal('SIGNAL_RUNTIME_DEFAULT', 'SIGRTMIN+3')).toBe(37);
  expect(stopSignal('SIGNAL_RUNTIME_DEFAULT', '')).toBe(15);
  expect(stopSignal('SIGNAL_SIGRTMINPLUS15', '')).toBe(49);
  expect(() => stopSignal('SIGNAL_RUNTIME_DEFAULT', 'SIGNOPE')).toThrow(expect.objectContaining({ code: 'INVALID_FIELD' }));
});
