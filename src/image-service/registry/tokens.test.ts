/** Who gets which token, and who does not: tokens are kept for later pulls with the same rights. */

import { afterEach, beforeEach, expect, test } from 'vitest';
import { FakeRegistry } from '../testing/fake-registry.ts';
import { putImage } from '../testing/image-maker.ts';
import { ImageRig } from '../testing/image-rig.ts';
import type { Credentials, PullAuth } from './credentials.ts';
import { TokenCache } from './token-cache.ts';

let registry: FakeRegistry;
let tokens: FakeRegistry;
let rig: ImageRig;
let issued: number;
let accepted: Set<string>;
let lifetime: number | undefined;
let nanos: bigint;

const alice: Credentials = { kind: 'basic', username: 'alice', password: 'alice-secret' };
const bob: Credentials = { kind: 'basic', username: 'bob', password: 'bob-secret' };
const auth = (credentials: Credentials): PullAuth => ({ credentials, serverHost: '' });

beforeEach(async () => {
  [registry, tokens, rig] = await Promise.all([FakeRegistry.start(), FakeRegistry.start(), ImageRig.create()]);
  [issued, accepted, lifetime, nanos] = [0, new Set(), 300, 0n];
  rig.tokens = new TokenCache({ nowNanos: () => nanos });
  await rig.open();
  for (const repository of ['app', 'other']) for (const tag of ['v1', 'v2']) putImage(registry, repository, tag, []);
  await rig.plainHttp(registry.host);
  registry.intercept = (request, response) => {
    if (accepted.has(request.headers.authorization ?? '')) return false;
    return Boolean(response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${tokens.host}/token",service="s"` }).end());
  };
  tokens.intercept = (_request, response) => {
    issued += 1;
    accepted.add(`Bearer token-${issued}`);
    return Boolean(response.end(JSON.stringify({ token: `token-${issued}`, expires_in: lifetime })));
  };
});

afterEach(async () => {
  await rig.close();
  await Promise.all([registry.stop(), tokens.stop()]);
});

const pull = (name: string, credentials?: Credentials): Promise<unknown> =>
  rig.pull(`${registry.host}/${name}`, credentials === undefined ? undefined : auth(credentials));
const refusals = (): number => registry.seen.filter(({ headers }) => !accepted.has(headers.authorization ?? '')).length;

test('a second pull from the same repository begins with the token of the first', async () => {
  await pull('app:v1', alice);
  await pull('app:v2', alice);
  await pull('app:v1', alice);
  expect([issued, refusals()]).toEqual([1, 1]);
});

test.each<[string, () => Promise<unknown>]>([
  ['another user', () => pull('app:v1', bob)],
  ['another password', () => pull('app:v1', { ...alice, password: 'wrong' } as Credentials)],
  ['nobody', () => pull('app:v1')],
  ['an identity token', () => pull('app:v1', { kind: 'identity', token: 'alice-secret' })],
  ['another repository', () => pull('other:v1', alice)],
])('%s gets a token of its own', async (_, other) => {
  await pull('app:v1', alice);
  registry.seen.length = 0;
  await other();
  expect([issued, refusals()]).toEqual([2, 1]);
  expect(registry.seen.some(({ headers }) => headers.authorization === 'Bearer token-1')).toBe(false);
});

test('a pull without credentials does not ride on an earlier one that had them', async () => {
  await pull('app:v1', alice);
  tokens.intercept = (request, response) => Boolean(response.writeHead(request.headers.authorization === undefined ? 401 : 500).end());
  await expect(pull('app:v1')).rejects.toThrow(expect.objectContaining({ code: 'REGISTRY_DENIED' }));
});

test('a registry token is sent to the registry alone, and never stored for others', async () => {
  accepted.add('Bearer given');
  await pull('app:v1', { kind: 'registry', token: 'given' });
  expect([issued, tokens.seen.length]).toEqual([0, 0]);
  await pull('app:v2');
  expect(issued).toBe(1);
});

test('a token is used until shortly before its end, and for a minute where none is told', async () => {
  await pull('app:v1', alice);
  nanos += 239n * 1_000_000_000n;
  await pull('app:v2', alice);
  expect(issued).toBe(1);
  nanos += 2n * 1_000_000_000n;
  lifetime = undefined;
  await pull('app:v1', alice);
  expect(issued).toBe(2);
  nanos += 47n * 1_000_000_000n;
  await pull('app:v2', alice);
  nanos += 2n * 1_000_000_000n;
  expect(issued).toBe(2);
  await pull('app:v1', alice);
  expect(issued).toBe(3);
});

test('a kept token that is refused is replaced, for later pulls too', async () => {
  await pull('app:v1', alice);
  accepted.clear();
  await pull('app:v1', alice);
  await pull('app:v2', alice);
  expect(issued).toBe(2);
});

test('a token that has expired when it comes still serves the request it was fetched for', async () => {
  lifetime = 0.001;
  await pull('app:v1', alice);
  expect(issued).toBe(1);
});
