import { expect, test } from 'vitest';
import { encodeStatus } from './status.ts';

test.each([
  ['success', { outcome: 'success' }, '{"metadata":{},"status":"Success"}', ''],
  [
    'an exit code', { outcome: 'exit', exitCode: 7 },
    '{"metadata":{},"status":"Failure","message":"command terminated with non-zero exit code: 7","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"7"}]}}',
    'command terminated with non-zero exit code: 7',
  ],
  ['a failure', { outcome: 'error', message: 'no such "program"' }, '{"metadata":{},"status":"Failure","message":"no such \\"program\\"","reason":"InternalError","code":500}', 'no such "program"'],
] as const)('%s, as a status and as text', (_what, status, asStatus, asText) => {
  expect(encodeStatus(status, 'status').toString()).toBe(asStatus);
  expect(encodeStatus(status, 'text').toString()).toBe(asText);
});
