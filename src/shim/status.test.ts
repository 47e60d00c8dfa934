import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { nativeErrorCode, readNativeError, toBerthError } from './native-error.ts';
import { parseShimStatus, readShimStatus } from './status.ts';

test('reads every field, times exactly', () => {
  const error = { step: 'exec', path: '/x', errno: 2, errnoName: 'ENOENT', message: 'none' };
  const value = {
    version: 1, id: 'x', state: 'exited', shimPid: 4, pid: 5, createdAt: '1795262190686672378', startedAt: '1795262190686672379',
    finishedAt: '1795262190686672380', exitCode: 137, signal: 9, oomKilled: true, logDropped: 5, logLimited: 6, user: { uid: 4294967294, gid: 2, groups: [3] }, error,
  };
  expect(parseShimStatus(value)).toEqual({
    state: 'exited', shimPid: 4, pid: 5, createdAt: 1795262190686672378n, startedAt: 1795262190686672379n,
    finishedAt: 1795262190686672380n, exitCode: 137, signal: 9, oomKilled: true, logDropped: 5, logLimited: 6, user: { uid: 4294967294, gid: 2, groups: [3] }, error,
  });
});

test('what is missing or of another type is empty, but a state there must be', () => {
  expect(parseShimStatus({ state: 'created', pid: '7', createdAt: 7, startedAt: '-1', user: { uid: 'root' }, error: 'x' })).toEqual({
    state: 'created', shimPid: 0, pid: 0, createdAt: 0n, startedAt: 0n, finishedAt: 0n, exitCode: 0, signal: 0, oomKilled: false, logDropped: 0, logLimited: 0,
    user: undefined, error: undefined,
  });
  for (const state of [undefined, 'done', 'toString', 1, null]) expect(parseShimStatus({ state })).toBeUndefined();
});

test('status.json that is absent, torn or something else is no status', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'berth-status-'));
  try {
    expect(await readShimStatus(directory)).toBeUndefined();
    for (const text of ['', '{"state":"exi', '7', 'null', '[]']) {
      await writeFile(join(directory, 'status.json'), text);
      expect(await readShimStatus(directory)).toBeUndefined();
    }
    await writeFile(join(directory, 'status.json'), '{"state":"exited","exitCode":3}');
    expect(await readShimStatus(directory)).toMatchObject({ state: 'exited', exitCode: 3 });
  } finally {
    await rm(directory, { recursive: true });
  }
});

test.each([
  ['mount', 'ENOENT', 'CONTAINER_SETUP_REJECTED'],
  ['command', 'EACCES', 'CONTAINER_SETUP_REJECTED'],
  ['user', '', 'CONTAINER_SETUP_REJECTED'],
  ['mount', 'EIO', 'CONTAINER_SETUP_FAILED'],
  ['exec', 'ENOMEM', 'CONTAINER_SETUP_FAILED'],
  ['exec', 'ESRCH', 'CONTAINER_WRONG_STATE'],
  ['clone', 'ENOENT', 'CONTAINER_SETUP_FAILED'],
  ['pivot', 'EINVAL', 'CONTAINER_SETUP_FAILED'],
  ['hook', '', 'CONTAINER_SETUP_FAILED'],
  ['hook', 'ETIMEDOUT', 'CONTAINER_SETUP_FAILED'],
  ['log', 'ENOSPC', 'DISK_FULL'],
  ['rootfs', 'EDQUOT', 'DISK_FULL'],
])('step %s with %s is %s', (step, errnoName, code) => {
  expect(nativeErrorCode({ step, path: '', errno: 1, errnoName, message: '' })).toBe(code);
});

test('the message names the object, the step, the path and the errno', () => {
  const detail = readNativeError({ step: 'mount', path: '/data', errno: 2, errnoName: 'ENOENT', message: 'no source' });
  expect(toBerthError('create container x', detail).message).toBe('create container x: mount /data: no source [ENOENT]');
  expect(toBerthError('create container x', readNativeError({ step: 'user', message: 'none' })).message).toBe('create container x: user: none');
});
