import { afterEach, describe, expect, test, vi } from 'vitest';
import { RegistryFailure, failureOfStatus, failureOfTransport } from './failure.ts';
import { parseRetryAfter, retryDelay, retryPolicy, withRetries } from './retry.ts';

const policy = { attempts: 4, firstDelay: 100, maxDelay: 250, maxRetryAfter: 1000 };
const never = new AbortController().signal;
const broken = new RegistryFailure('REGISTRY_UNAVAILABLE', 'broken', { transient: true });
const coded = (code: string): unknown => failureOfTransport('x', 'h', Object.assign(new Error(code), { code }), never);

describe('how long to wait', () => {
  afterEach(() => void vi.restoreAllMocks());

  test('it doubles up to the longest, less up to half of it by chance', () => {
    const range = (failures: number): readonly (number | undefined)[] =>
      [0, 1].map((chance) => {
        vi.spyOn(Math, 'random').mockReturnValue(chance);
        return retryDelay(policy, failures, broken, false);
      });
    expect([1, 2, 3, 4].map(range)).toEqual([[50, 100], [100, 200], [125, 250], [undefined, undefined]]);
  });

  test('what the server asks for counts instead, if it is not too long', () => {
    const asked = (header: string) => retryDelay(policy, 1, failureOfStatus('x', 'h', 429, '', parseRetryAfter(header, Date.now())), false);
    expect(asked('1')).toBe(1000);
    expect(asked('0')).toBe(0);
    expect(asked('2')).toBeUndefined();
  });

  test.each([408, 429, 500, 502, 503, 504, 599])('status %i is worth it', (status) => {
    expect(retryDelay(policy, 1, failureOfStatus('x', 'h', status, '', undefined), true)).toBeGreaterThan(0);
  });

  test.each([400, 401, 403, 404, 405, 416])('status %i is not', (status) => {
    expect(retryDelay(policy, 1, failureOfStatus('x', 'h', status, '', undefined), false)).toBeUndefined();
  });

  test.each(['ECONNREFUSED', 'ENOTFOUND', 'EHOSTUNREACH', 'ENETUNREACH', 'UND_ERR_CONNECT_TIMEOUT'])('%s: another server is the better bet, if there is one', (code) => {
    expect(retryDelay(policy, 1, coded(code), false)).toBeGreaterThan(0);
    expect(retryDelay(policy, 1, coded(code), true)).toBeUndefined();
  });

  test.each([
    ['ECONNRESET', true],
    ['UND_ERR_SOCKET', true],
    ['UND_ERR_BODY_TIMEOUT', false],
    ['UND_ERR_HEADERS_TIMEOUT', false],
    ['SELF_SIGNED_CERT_IN_CHAIN', false],
    ['CERT_HAS_EXPIRED', false],
    ['ERR_TLS_CERT_ALTNAME_INVALID', false],
  ])('%s: %s', (code, again) => {
    expect(retryDelay(policy, 1, coded(code), true) !== undefined).toBe(again);
  });

  test('errors of any other kind are not', () => {
    expect(retryDelay(policy, 1, new Error('a defect'), false)).toBeUndefined();
  });
});

describe('Retry-After', () => {
  const now = Date.parse('2026-01-02T03:04:05Z');

  test.each([
    [undefined, undefined],
    ['7', 7000],
    ['0', 0],
    ['Fri, 02 Jan 2026 03:04:15 GMT', 10_000],
    ['Friday, 02-Jan-26 03:04:15 GMT', 10_000],
    ['Fri, 02 Jan 2026 03:04:00 GMT', 0],
    ['soon', undefined],
    ['-5', undefined],
    ['99999999999', undefined],
  ])('%j is %j ms', (header, milliseconds) => {
    expect(parseRetryAfter(header, now)).toBe(milliseconds);
  });
});

describe('withRetries', () => {
  test('tries as often as the settings say, and ends with the last failure', async () => {
    const quick = retryPolicy({ attempts: 3, retryDelayMilliseconds: 1 });
    let attempts = 0;
    const attempt = (): Promise<never> => {
      attempts += 1;
      return Promise.reject(new RegistryFailure('REGISTRY_UNAVAILABLE', `broken ${attempts}`, { transient: true }));
    };
    await expect(withRetries(quick, false, never, attempt)).rejects.toThrow('broken 3');
    expect(attempts).toBe(3);
  });

  test('a cancellation ends the wait', async () => {
    const cancel = new AbortController();
    const slow = { ...policy, firstDelay: 3_600_000, maxDelay: 3_600_000 };
    const waiting = withRetries(slow, false, cancel.signal, () => {
      setImmediate(() => cancel.abort());
      return Promise.reject(broken);
    });
    await expect(waiting).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }));
  });
});

test('the longest delay is never shorter than the first', () => {
  expect(retryPolicy({ attempts: 4, retryDelayMilliseconds: 250 })).toMatchObject({ firstDelay: 250, maxDelay: 8000 });
  expect(retryPolicy({ attempts: 4, retryDelayMilliseconds: 60_000 })).toMatchObject({ firstDelay: 60_000, maxDelay: 60_000 });
});
