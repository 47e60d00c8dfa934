import { expect, test } from 'vitest';
import { BerthError, catalogue, grpcStatus, invalidField, wrapError } from './catalogue.ts';

test('a message ends with the remedy of its code', () => {
  const error = new BerthError('IMAGE_NOT_FOUND', 'image x: not found');
  expect(error.message).toBe('image x: not found (pull the image first)');
  expect(error.status).toBe(grpcStatus.NOT_FOUND);
});

test('wrapping keeps the code and repeats no remedy', () => {
  const inner = new BerthError('DISK_FULL', 'write layer');
  const outer = wrapError('pull image x', inner);
  expect(outer.code).toBe('DISK_FULL');
  expect(outer.message).toBe('pull image x: write layer (free space on the disk)');
  expect(outer.cause).toBe(inner);
});

test.each([
  [Object.assign(new Error('no space'), { code: 'ENOSPC' }), 'DISK_FULL'],
  [Object.assign(new Error('quota'), { code: 'EDQUOT' }), 'DISK_FULL'],
  [new DOMException('late', 'TimeoutError'), 'DEADLINE'],
  [new DOMException('left', 'AbortError'), 'CANCELLED'],
  [new TypeError('x is undefined'), 'CNI_FAILED'],
  ['a string', 'CNI_FAILED'],
])('%s becomes %s', (cause, code) => {
  expect(wrapError('try', cause, 'CNI_FAILED')).toMatchObject({ code, message: expect.stringMatching(/^try: /) as string });
});

test('a wrong field is named first', () => {
  expect(invalidField('config.metadata.name', 'is empty').message).toBe('config.metadata.name: is empty');
});

test('every entry has a status that gRPC knows', () => {
  const known = new Set<number>(Object.values(grpcStatus));
  for (const { status } of Object.values(catalogue)) expect(known).toContain(status);
});
