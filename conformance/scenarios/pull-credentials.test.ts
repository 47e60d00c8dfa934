import { afterAll, beforeAll, expect, test } from 'vitest';
import type { AuthConfig } from '../../src/cri-server/generated/runtime/v1/AuthConfig.ts';
import { startFaultyRegistry } from '../harness/faulty-registry.ts';
import type { FaultyRegistry } from '../harness/faulty-registry.ts';
import { busybox, busyboxLayer } from '../harness/images.ts';
import { push } from '../harness/push.ts';
import { BASIC_AUTHORIZATION, REGISTRY_PASSWORD, REGISTRY_USER, startRegistry } from '../harness/registry.ts';
import type { Registry } from '../harness/registry.ts';
import { expectCode, useStage } from '../harness/stage.ts';
import { startTokenServer } from '../harness/token-server.ts';
import type { TokenServer } from '../harness/token-server.ts';

const stage = useStage({ leaks: { images: true } });

let basic: Registry;
let token: Registry;
let open: Registry;
let tokens: TokenServer;
let anonymous: TokenServer;
let cdn: FaultyRegistry;
let redirecting: FaultyRegistry;

beforeAll(async () => {
  basic = await startRegistry({ kind: 'basic' });
  tokens = await startTokenServer({ anonymous: false });
  anonymous = await startTokenServer({ anonymous: true });
  token = await startRegistry(tokens.auth);
  open = await startRegistry(anonymous.auth);
  await push(basic, 'private', 'latest', busybox());
  await push({ url: token.url, authorization: tokens.pushAuthorization('private') }, 'private', 'latest', busybox());
  await push({ url: open.url, authorization: anonymous.pushAuthorization('public') }, 'public', 'latest', busybox());
  await push(stage.registry, 'private', 'latest', busybox());
  cdn = await startFaultyRegistry(stage.registry.url);
  redirecting = await startFaultyRegistry(basic.url);
  for (const { host, url } of [basic, token, open, redirecting]) await stage.daemon.setRegistry(host, url);
});

afterAll(async () => {
  for (const server of [redirecting, cdn, basic, token, open, tokens, anonymous]) await server?.stop();
});

const right: AuthConfig = { username: REGISTRY_USER, password: REGISTRY_PASSWORD };
const wrong: AuthConfig = { username: REGISTRY_USER, password: 'open barley' };
const inOneWord: AuthConfig = { auth: BASIC_AUTHORIZATION.replace('Basic ', '') };

const pull = (reference: string, auth: AuthConfig | null = null): Promise<unknown> => stage.cri.call('PullImage', { image: { image: reference }, auth });
const pullAndRemove = async (reference: string, auth: AuthConfig | null = null): Promise<void> => {
  await pull(reference, auth);
  await stage.cri.call('RemoveImage', { image: { image: reference } });
};

test('a registry with a password takes the right one, in either form', async () => {
  await pullAndRemove(`${basic.host}/private:latest`, right);
  await pullAndRemove(`${basic.host}/private:latest`, inOneWord);
});

test('without or with the wrong password the pull is denied, and the password is in no message or log', async () => {
  await expectCode(pull(`${basic.host}/private:latest`), 'PERMISSION_DENIED', /private/);
  const error = await expectCode(pull(`${basic.host}/private:latest`, wrong), 'PERMISSION_DENIED', /private/);
  expect(error.details).not.toContain('open barley');
  expect(stage.daemon.log.join('\n')).not.toContain('open barley');
  expect(stage.daemon.log.join('\n')).not.toContain(REGISTRY_PASSWORD);
});

test('an image that somebody with the password has pulled is not given to somebody without', async () => {
  const reference = `${basic.host}/private:latest`;
  await pull(reference, right);
  const asked = async (): Promise<boolean> => (await stage.cri.call('ImageStatus', { image: { image: reference } })).image !== null;
  expect(await asked()).toBe(true);
  await expectCode(pull(reference), 'PERMISSION_DENIED', /private/);
  await expectCode(pull(reference, wrong), 'PERMISSION_DENIED', /private/);
  // Nor under its digest, which needs no look-up of a tag.
  const { image } = await stage.cri.call('ImageStatus', { image: { image: reference } });
  const digest = image?.repo_digests[0] ?? '';
  expect(digest).toContain('@sha256:');
  await expectCode(pull(digest), 'PERMISSION_DENIED', /private/);
  expect(await asked()).toBe(true);
  await stage.cri.call('RemoveImage', { image: { image: reference } });
});

test('a registry with tokens sends Berth to its token server', async () => {
  await pullAndRemove(`${token.host}/private:latest`, right);
  expect(decodeURIComponent(tokens.requests.join('\n'))).toContain('scope=repository:private:pull');
});

test('the token server\'s refusal is a denied pull', async () => {
  await expectCode(pull(`${token.host}/private:latest`, wrong), 'PERMISSION_DENIED');
  await expectCode(pull(`${token.host}/private:latest`), 'PERMISSION_DENIED');
});

test('a public registry with tokens needs no password', async () => {
  await pullAndRemove(`${open.host}/public:latest`);
});

test('a redirect to another host does not take the password with it', async () => {
  const path = new RegExp(`blobs/${busyboxLayer().digest}`);
  redirecting.setRules({ path, method: 'GET', fault: { kind: 'redirect', to: `${cdn.url}/v2/private/blobs/${busyboxLayer().digest}` } });
  cdn.setRules();
  await pullAndRemove(`${redirecting.host}/private:latest`, right);
  expect(redirecting.seen.some(({ headers }) => headers.authorization === BASIC_AUTHORIZATION)).toBe(true);
  expect(cdn.seen.length).toBeGreaterThan(0);
  for (const { headers } of cdn.seen) expect(headers.authorization).toBeUndefined();
});
