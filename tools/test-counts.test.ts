import { expect, test } from 'vitest';
import { countNative, countVitest, settle, sum, summaryLine } from './test-counts.ts';

const file = (status: string, ...assertions: string[]) => ({ status, assertionResults: assertions.map((each) => ({ status: each })) });

test('a file that did not load counts as a failure', () => {
  const report = {
    numPassedTests: 5, numFailedTests: 1, numPendingTests: 2, numTodoTests: 1,
    testResults: [file('passed', 'passed'), file('failed', 'passed', 'failed'), file('failed')],
  };
  expect(countVitest(JSON.stringify(report))).toEqual({ passed: 5, failed: 2, skipped: 3 });
});

test('the last summary of the native tests counts', () => {
  const output = 'frame_test: 3 passed, 0 failed, 0 skipped\nloop_test: …\nnative: 12 passed, 1 failed, 2 skipped\nbye\n';
  expect(countNative(output)).toEqual({ passed: 12, failed: 1, skipped: 2 });
  expect(countNative('Segmentation fault\n')).toBeUndefined();
});

test('a runner that crashed is a failure, whatever it counted', () => {
  const all = { passed: 3, failed: 0, skipped: 0 };
  expect(settle(all, true)).toEqual(all);
  expect(settle(all, false).failed).toBe(1);
  expect(settle({ ...all, failed: 4 }, false).failed).toBe(4);
  expect(settle(undefined, true)).toEqual({ passed: 0, failed: 1, skipped: 0 });
});

test('the sum is one plain line', () => {
  expect(summaryLine(sum([{ passed: 1, failed: 2, skipped: 3 }, { passed: 10, failed: 20, skipped: 30 }]))).toBe('11 passed, 22 failed, 33 skipped');
});
