import { expect, test } from 'vitest';
import { allCapabilities, noTlsFiles } from './endpoint.ts';
import type { Endpoint } from './endpoint.ts';
import { TokenCache, tokenKey } from './token-cache.ts';

let nanos = 0n;
const cache = (): TokenCache => new TokenCache({ nowNanos: () => nanos });
const advance = (seconds: number): void => {
  nanos += BigInt(seconds) * 1_000_000_000n;
};

test('a token is found again until shortly before it expires, counted from when it was asked for', () => {
  const tokens = cache();
  const asked = tokens.now();
  advance(10);
  tokens.put('k', { value: 't', lifetime: 100_000 }, asked);
  advance(69);
  expect(tokens.get('k')).toBe('t');
  advance(1);
  expect(tokens.get('k')).toBeUndefined();
});

test('a new token takes the place of the old one', () => {
  const tokens = cache();
  for (const value of ['old', 'new']) tokens.put('k', { value, lifetime: 1000 }, tokens.now());
  expect(tokens.get('k')).toBe('new');
});

test('the oldest go when there are too many', () => {
  const tokens = cache();
  for (let n = 0; n < 1001; n += 1) tokens.put(`k${n}`, { value: `t${n}`, lifetime: 1000 }, tokens.now());
  expect([tokens.get('k0'), tokens.get('k1'), tokens.get('k1000')]).toEqual([undefined, 't1', 't1000']);
});

test('server, path, scope and credentials all make another key, and no secret is in it', () => {
  const endpoint: Endpoint = {
    origin: 'https://a', host: 'a', basePath: '/v2', capabilities: allCapabilities, headers: {}, tls: noTlsFiles,
    dialTimeout: 1, isMirror: false, trustedWithCredentials: true,
  };
  const basic = (username: string, password: string) => ({ kind: 'basic', username, password }) as const;
  const keys = [
    tokenKey(endpoint, 'repository:x:pull', undefined),
    tokenKey({ ...endpoint, origin: 'http://a' }, 'repository:x:pull', undefined),
    tokenKey({ ...endpoint, basePath: '/y/v2' }, 'repository:x:pull', undefined),
    tokenKey(endpoint, 'repository:y:pull', undefined),
    tokenKey(endpoint, 'repository:x:pull', basic('u', 'p')),
    tokenKey(endpoint, 'repository:x:pull', basic('u', 'q')),
    tokenKey(endpoint, 'repository:x:pull', basic('up', '')),
    tokenKey(endpoint, 'repository:x:pull', { kind: 'identity', token: 'p' }),
    tokenKey(endpoint, 'repository:x:pull', { kind: 'registry', token: 'p' }),
  ];
  expect(new Set(keys).size).toBe(keys.length);
  expect(tokenKey(endpoint, 's', basic('u', 'open sesame'))).not.toContain('sesame');
});
