import { execFileSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { AuthConfig } from '../../src/cri-server/generated/runtime/v1/AuthConfig.ts';
import { startFaultyRegistry } from '../harness/faulty-registry.ts';
import type { Fault, FaultyRegistry } from '../harness/faulty-registry.ts';
import { buildImage, buildLayer } from '../harness/oci-image.ts';
import type { BuiltImage } from '../harness/oci-image.ts';
import { BASIC_AUTHORIZATION, REGISTRY_PASSWORD, REGISTRY_USER, startRegistry } from '../harness/registry.ts';
import type { Registry } from '../harness/registry.ts';
import { file } from '../harness/root-fs.ts';
import { expectCode, useStage } from '../harness/stage.ts';
import { startTokenServer } from '../harness/token-server.ts';
import type { TokenServer } from '../harness/token-server.ts';

const sample = (): BuiltImage => buildImage([buildLayer([file('small', 'a small file\n')]), buildLayer([file('other', 'another\n')], 'none')]);
const layer = (): { readonly digest: string; readonly bytes: Buffer } => {
  const [first] = sample().layers;
  if (first === undefined) throw new Error('the sample has no layer');
  return first;
};

const configDirectory = mkdtempSync(join(tmpdir(), 'berth-config-'));
const configFile = join(configDirectory, 'config.toml');
const authFile = join(configDirectory, 'auth.json');
writeFileSync(configFile, `[registry]\nauth_file = "${authFile}"\nprogress_timeout_seconds = 1\n`);
writeFileSync(authFile, '{}');

const stage = useStage({ images: { sample }, pulled: [], leaks: { images: true }, flags: ['--config', configFile] });
const servers: { stop(): Promise<void> }[] = [];
const right: AuthConfig = { username: REGISTRY_USER, password: REGISTRY_PASSWORD };

afterAll(async () => {
  for (const server of servers.toReversed()) await server.stop();
  await rm(configDirectory, { recursive: true });
});

const pull = (reference: string, auth: AuthConfig | null = null): Promise<unknown> => stage.cri.call('PullImage', { image: { image: reference }, auth });
async function pullAndRemove(reference: string, auth: AuthConfig | null = null): Promise<void> {
  await pull(reference, auth);
  expect((await stage.cri.call('ListImages', {})).images.map(({ id }) => id)).toEqual([sample().id]);
  await stage.cri.call('RemoveImage', { image: { image: reference } });
}

async function hosts(domain: string, content: string): Promise<string> {
  const directory = `${stage.daemon.directory}/certs.d/${domain}`;
  await mkdir(directory, { recursive: true });
  await writeFile(`${directory}/hosts.toml`, content);
  return directory;
}

describe('a registry over TLS with tokens', () => {
  const tls = { certificate: join(configDirectory, 'server.pem'), key: join(configDirectory, 'server.key') };
  let secure: Registry;
  /** The same, but with a token server in plain HTTP. */
  let careless: Registry;

  beforeAll(async () => {
    const names = ['-subj', '/CN=berth', '-addext', 'subjectAltName=IP:127.0.0.1'];
    execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-keyout', tls.key, '-out', tls.certificate, ...names], { stdio: 'ignore' });
    const [tokens, open] = [await startTokenServer({ anonymous: false, tls }), await startTokenServer({ anonymous: false })];
    secure = await startRegistry(tokens.auth, stage.registry.storage, tls);
    careless = await startRegistry(open.auth, stage.registry.storage, tls);
    servers.push(tokens, open, secure, careless);
  });

  test('is not believed without its certificate, and without a restart once that is known', async () => {
    await expectCode(pull(`${secure.host}/sample:latest`, right), 'UNKNOWN', /^RegistryUnavailable: .*certificate/);
    await hosts(secure.host, `server = "${secure.url}"\nca = "${tls.certificate}"\n`);
    await pullAndRemove(`${secure.host}/sample:latest`, right);
    await expectCode(pull(`${secure.host}/sample:latest`), 'PERMISSION_DENIED');
  });

  test('has no password sent to a token server in plain HTTP', async () => {
    await hosts(careless.host, `server = "${careless.url}"\nca = "${tls.certificate}"\n`);
    await expectCode(pull(`${careless.host}/sample:latest`, right), 'PERMISSION_DENIED', /which is not https/);
  });
});

describe('a mirror', () => {
  test('that speaks plain HTTP serves another registry\'s images where the file says so', async () => {
    const mirror = await startFaultyRegistry(stage.registry.url);
    servers.push(mirror);
    await hosts('far.example', `[host."${mirror.url}"]\n  capabilities = ["pull", "resolve"]\n  [host."${mirror.url}".header]\n    x-site = "here"\n`);
    await pullAndRemove('far.example/sample:latest');
    expect(mirror.seen.length).toBeGreaterThan(2);
    for (const { path, headers } of mirror.seen) expect([new URL(path, mirror.url).searchParams.get('ns'), headers['x-site']]).toEqual(['far.example', 'here']);
  });

  test('that is changed in the file is another one at the next pull', async () => {
    const [one, two] = [await startFaultyRegistry(stage.registry.url), await startFaultyRegistry(stage.registry.url)];
    servers.push(one, two);
    for (const mirror of [one, two]) {
      await hosts('moving.example', `[host."${mirror.url}"]\n`);
      await pullAndRemove('moving.example/sample:latest');
    }
    expect(one.seen.length).toBe(two.seen.length);
  });
});

describe('a registry that misbehaves', () => {
  let faulty: FaultyRegistry;
  const blob = (): RegExp => new RegExp(`blobs/${layer().digest}`);
  const reference = (): string => `${faulty.host}/sample:latest`;

  beforeAll(async () => {
    faulty = await startFaultyRegistry(stage.registry.url);
    servers.push(faulty);
    await stage.daemon.setRegistry(faulty.host, faulty.url);
  });
  beforeEach(() => faulty.setRules());

  test('a connection that is cut once, at any byte of a layer, is taken up again', async () => {
    const { length } = layer().bytes;
    for (let after = 0; after < length; after += Math.ceil(length / 16)) {
      faulty.setRules({ path: blob(), fault: { kind: 'cut', after }, times: 1 });
      await pullAndRemove(reference());
      expect(faulty.seen.filter(({ path }) => blob().test(path))).toHaveLength(2);
    }
  }, 60_000);

  test.each<[string, Fault, number]>([
    ['500', { kind: 'answer', status: 500, body: '' }, 2],
    ['502', { kind: 'answer', status: 502, body: '<html>bad gateway</html>' }, 1],
    ['429 with Retry-After', { kind: 'answer', status: 429, headers: { 'retry-after': '1' }, body: '' }, 1],
    ['a broken connection', { kind: 'cut', after: 0 }, 1],
  ])('%s, for a while, only costs time', async (_, fault, times) => {
    for (const path of [/manifests/, blob()]) {
      faulty.setRules({ path, fault, times });
      const started = performance.now();
      await pullAndRemove(reference());
      if (fault.kind === 'answer' && fault.status === 429) expect(performance.now() - started).toBeGreaterThanOrEqual(1000);
    }
  });

  test('a Retry-After of an hour is not waited for', async () => {
    faulty.setRules({ path: blob(), fault: { kind: 'answer', status: 429, headers: { 'retry-after': '3600' }, body: '' } });
    await expectCode(pull(reference()), 'UNKNOWN', /^RegistryUnavailable: .*429/);
    expect(faulty.seen.filter(({ path }) => blob().test(path))).toHaveLength(1);
  });

  test('a layer that is longer than the manifest says is refused', async () => {
    faulty.setRules({ path: blob(), fault: { kind: 'longer', by: 10 } });
    await expectCode(pull(reference()), 'DATA_LOSS', new RegExp(layer().digest));
  });

  test('a redirect without end is refused', async () => {
    faulty.setRules({ path: blob(), fault: { kind: 'redirect', to: `/v2/sample/blobs/${layer().digest}` } });
    await expectCode(pull(reference()), 'INTERNAL', /redirects/);
  });

  test('a stalled layer is given up after the time that is set', async () => {
    faulty.setRules({ path: blob(), fault: { kind: 'stall', after: 20 } });
    await expectCode(pull(reference()), 'UNKNOWN', /^RegistryUnavailable: .*sent nothing for too long/);
    faulty.setRules();
    await pullAndRemove(reference());
  });
});

describe('credentials', () => {
  let tokens: TokenServer;
  let between: FaultyRegistry;
  let basic: Registry;

  beforeAll(async () => {
    tokens = await startTokenServer({ anonymous: false });
    const registry = await startRegistry(tokens.auth, stage.registry.storage);
    between = await startFaultyRegistry(registry.url);
    basic = await startRegistry({ kind: 'basic' }, stage.registry.storage);
    servers.push(tokens, registry, between, basic);
    for (const { host, url } of [between, basic]) await stage.daemon.setRegistry(host, url);
  });

  test('a token that expires in the middle of a pull is renewed', async () => {
    const { realm, service } = tokens.auth;
    const challenge = { 'www-authenticate': `Bearer realm="${realm}",service="${service}",scope="repository:sample:pull",error="invalid_token"` };
    between.setRules({ path: new RegExp(layer().digest), fault: { kind: 'answer', status: 401, headers: challenge, body: '' }, times: 1 });
    await pullAndRemove(`${between.host}/sample:latest`, right);
    expect(tokens.requests).toHaveLength(2);
  });

  test('a configured file brings those that a pull lacks, and is read anew', async () => {
    await expectCode(pull(`${basic.host}/sample:latest`), 'PERMISSION_DENIED');
    await writeFile(authFile, JSON.stringify({ auths: { [basic.host]: { auth: BASIC_AUTHORIZATION.replace('Basic ', '') } } }));
    await pullAndRemove(`${basic.host}/sample:latest`);
    await expectCode(pull(`${basic.host}/sample:latest`, { ...right, password: 'wrong' }), 'PERMISSION_DENIED');
  });
});
