import { execFileSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { copyFile, mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { AuthConfig } from '../../src/cri-server/generated/runtime/v1/AuthConfig.ts';
import { startFaultyRegistry } from '../harness/faulty-registry.ts';
import type { Fault, FaultyRegistry, Rule } from '../harness/faulty-registry.ts';
import { buildImage, buildLayer } from '../harness/oci-image.ts';
import type { BuiltImage } from '../harness/oci-image.ts';
import { BASIC_AUTHORIZATION, REGISTRY_PASSWORD, REGISTRY_USER, startRegistry } from '../harness/registry.ts';
import type { Registry } from '../harness/registry.ts';
import { file } from '../harness/root-fs.ts';
import { expectCode, useStage } from '../harness/stage.ts';
import { IDENTITY_TOKEN, startTokenServer } from '../harness/token-server.ts';
import type { TokenServer } from '../harness/token-server.ts';

const sample = (): BuiltImage => buildImage([buildLayer([file('small', 'a small file\n')])]);
const layer = (): { readonly digest: string; readonly bytes: Buffer } => {
  const [first] = sample().layers;
  if (first === undefined) throw new Error('the sample has no layer');
  return first;
};

const configDirectory = mkdtempSync(join(tmpdir(), 'berth-config-'));
const configFile = join(configDirectory, 'config.toml');
const authFile = join(configDirectory, 'auth.json');
/** At one server, where nothing comes of them. */
const attempts = 6;
const dockerCerts = join(configDirectory, 'docker');
const settings = [`auth_file = "${authFile}"`, `docker_certs_dir = "${dockerCerts}"`, 'progress_timeout_seconds = 1', `attempts = ${attempts}`, 'retry_delay_milliseconds = 1'];
writeFileSync(configFile, `[registry]\n${settings.join('\n')}\n`);
writeFileSync(authFile, '{}');

const stage = useStage({ images: { sample }, pulled: [], leaks: { images: true }, flags: ['--config', configFile], logLevel: 'trace' });
const servers: { stop(): Promise<void> }[] = [];
const right: AuthConfig = { username: REGISTRY_USER, password: REGISTRY_PASSWORD };
/** What a mirror file has sent to one server alone. */
const headerSecret = 'header-that-only-the-mirror-may-see';

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

  test('is believed with the certificate that Docker would believe, too', async () => {
    await rm(join(stage.daemon.directory, 'certs.d', secure.host), { recursive: true });
    await mkdir(join(dockerCerts, secure.host), { recursive: true });
    await copyFile(tls.certificate, join(dockerCerts, secure.host, 'ca.crt'));
    await pullAndRemove(`${secure.host}/sample:latest`, right);
    await rm(join(dockerCerts, secure.host), { recursive: true });
    await expectCode(pull(`${secure.host}/sample:latest`, right), 'UNKNOWN', /^RegistryUnavailable: .*certificate/);
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

  test.each<[string, Fault, number]>([
    ['only fails', { kind: 'answer', status: 500, body: '' }, attempts],
    // Once to unpack it, and once to tell a bad transfer from a bad image.
    ['has something else under the digest', { kind: 'corrupt', at: 20 }, 2],
    ['stalls', { kind: 'stall', after: 20 }, 1],
    ['has lost the layer', { kind: 'answer', status: 404, body: '' }, 1],
    ['asks for a password that nobody has', { kind: 'answer', status: 401, headers: { 'www-authenticate': 'Basic realm="x"' }, body: '' }, 1],
  ])('that %s in the middle of a pull is left for the next', async (_, fault, requests) => {
    const [bad, good] = [await startFaultyRegistry(stage.registry.url), await startFaultyRegistry(stage.registry.url)];
    servers.push(bad, good);
    await hosts('patient.example', `server = "http://127.0.0.1:9"\n[host."${bad.url}"]\n[host."${good.url}"]\n`);
    bad.setRules({ path: new RegExp(`blobs/${layer().digest}`), fault });
    await pullAndRemove('patient.example/sample:latest');
    expect(bad.seen.filter(({ path }) => path.includes(layer().digest))).toHaveLength(requests);
    expect(good.seen.map(({ path }) => path.replace(/\?.*/, ''))).toEqual([`/v2/sample/blobs/${layer().digest}`]);
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

  test('a connection that is cut after any byte of manifest, config and layer is taken up again', async () => {
    const { manifest, config } = sample();
    const bodies = [
      { path: /manifests/, length: manifest.bytes.length, resumed: false },
      { path: new RegExp(`blobs/${config.digest}`), length: config.bytes.length, resumed: false },
      { path: blob(), length: layer().bytes.length, resumed: true },
    ];
    // Each pull is cut as often as it may be, after one byte more each time. What is resumed comes without what is there already.
    const cuts = attempts - 1;
    for (let from = 0; from < Math.max(...bodies.map(({ length }) => length)); from += cuts) {
      const offsets = (length: number): number[] => Array.from({ length: cuts }, (_, n) => from + n).filter((offset) => offset < length);
      const after = (offset: number, resumed: boolean): number => (resumed && offset > from ? 1 : offset);
      faulty.setRules(...bodies.flatMap(({ path, length, resumed }) => offsets(length).map((offset): Rule => ({ path, fault: { kind: 'cut', after: after(offset, resumed) }, times: 1 }))));
      await pullAndRemove(reference());
      const asked = bodies.map(({ path: wanted }) => faulty.seen.filter(({ path }) => wanted.test(path)).length);
      expect([from, ...asked]).toEqual([from, ...bodies.map(({ length }) => offsets(length).length + 1)]);
    }
  }, 120_000);

  test.each<[string, Fault | undefined, number]>([
    ['sends the rest', undefined, 2],
    ['sends all of it again', { kind: 'ignore-range' }, 2],
    ['has no rest to send (416)', { kind: 'answer', status: 416, body: '' }, 3],
  ])('a layer that breaks off is completed by a server that %s', async (_, fault, requests) => {
    const cut: Rule = { path: blob(), fault: { kind: 'cut', after: 50 }, times: 1 };
    faulty.setRules(cut, ...(fault === undefined ? [] : [{ path: blob(), fault, times: 1 }]));
    await pullAndRemove(reference());
    const seen = faulty.seen.filter(({ path }) => blob().test(path));
    expect(seen).toHaveLength(requests);
    expect(seen[1]?.headers.range).toMatch(new RegExp(`^bytes=[0-9]+-${layer().bytes.length - 1}$`));
  });

  test.each<[string, Fault, number]>([
    ['500', { kind: 'answer', status: 500, body: '' }, 2],
    ['502', { kind: 'answer', status: 502, body: '<html>bad gateway</html>' }, 1],
    ['408', { kind: 'answer', status: 408, body: '' }, 3],
    ['a broken connection', { kind: 'cut', after: 0 }, 1],
  ])('%s, for a while, only costs time', async (_, fault, times) => {
    for (const path of [/manifests/, blob()]) {
      faulty.setRules({ path, fault, times });
      await pullAndRemove(reference());
      expect(faulty.seen.filter((seen) => path.test(seen.path))).toHaveLength(times + 1);
    }
  });

  test.each<[string, () => string]>([
    ['in seconds', () => '1'],
    ['as a date', () => new Date(Date.now() + 2000).toUTCString()],
  ])('429 with a Retry-After %s is waited for', async (_, retryAfter) => {
    for (const path of [/manifests/, blob()]) {
      faulty.setRules({ path, fault: { kind: 'answer', status: 429, headers: { 'retry-after': retryAfter() }, body: '' }, times: 1 });
      const started = performance.now();
      await pullAndRemove(reference());
      // Dates have whole seconds; without the header it would be a millisecond.
      expect(performance.now() - started).toBeGreaterThan(900);
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

  test.each([
    ['is shorter, as the server says', -50],
    ['is shorter, although the server says that it is longer', 1],
  ])('a layer that %s is refused', async (_, more) => {
    const { bytes } = layer();
    const headers = { 'content-length': String(bytes.length + more) };
    faulty.setRules({ path: blob(), fault: { kind: 'answer', status: 200, headers, body: bytes.subarray(0, -50) } });
    await expectCode(pull(reference()), 'DATA_LOSS', new RegExp(layer().digest));
  });

  test('a manifest in gzip on its way is what it was', async () => {
    const { manifest, id } = sample();
    const headers = { 'content-type': manifest.mediaType, 'content-encoding': 'gzip', 'docker-content-digest': manifest.digest };
    faulty.setRules({ path: /manifests/, fault: { kind: 'answer', status: 200, headers, body: gzipSync(manifest.bytes) } });
    expect(await pull(reference())).toEqual({ image_ref: id });
    await stage.cri.call('RemoveImage', { image: { image: reference() } });
  });

  test('a manifest that is not the one its own header names is refused', async () => {
    const { manifest } = sample();
    const headers = { 'content-type': manifest.mediaType, 'docker-content-digest': `sha256:${'0'.repeat(64)}` };
    faulty.setRules({ path: /manifests/, fault: { kind: 'answer', status: 200, headers, body: manifest.bytes } });
    await expectCode(pull(reference()), 'DATA_LOSS', new RegExp(manifest.digest));
  });

  test('a manifest of schema 1 is refused with what to do', async () => {
    const headers = { 'content-type': 'application/vnd.docker.distribution.manifest.v1+prettyjws' };
    faulty.setRules({ path: /manifests/, fault: { kind: 'answer', status: 200, headers, body: '{"schemaVersion":1,"fsLayers":[]}' } });
    await expectCode(pull(reference()), 'INTERNAL', /schema version is 1, .*push the image again/);
  });

  test('a redirect without end is refused', async () => {
    faulty.setRules({ path: blob(), fault: { kind: 'redirect', to: `/v2/sample/blobs/${layer().digest}` } });
    await expectCode(pull(reference()), 'INTERNAL', /redirects/);
  });

  test('a slow layer is not given up, however long it takes', async () => {
    faulty.setRules({ path: blob(), fault: { kind: 'drip', pieces: 8, every: 300 } });
    const started = performance.now();
    await pullAndRemove(reference());
    expect(performance.now() - started).toBeGreaterThan(2000);
    expect(faulty.seen.filter(({ path }) => blob().test(path))).toHaveLength(1);
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

  const expired = (): Fault => {
    const { realm, service } = tokens.auth;
    const challenge = { 'www-authenticate': `Bearer realm="${realm}",service="${service}",scope="repository:sample:pull",error="invalid_token"` };
    return { kind: 'answer', status: 401, headers: challenge, body: '' };
  };

  test.each([
    ['in the middle of a pull', []],
    ['while a layer is taken up again', [{ path: new RegExp(layer().digest), fault: { kind: 'cut', after: 50 }, times: 1 }] satisfies Rule[]],
  ])('a token that expires %s is renewed', async (_, before) => {
    between.setRules(...before, { path: new RegExp(layer().digest), fault: expired(), times: 1 });
    const earlier = tokens.requests.length;
    await pullAndRemove(`${between.host}/sample:latest`, right);
    expect(tokens.requests.length).toBe(Math.max(earlier, 1) + 1);
  });

  test('a token serves later pulls with the same credentials, and those alone', async () => {
    between.setRules();
    await pullAndRemove(`${between.host}/sample:latest`, right);
    const earlier = tokens.requests.length;
    await pullAndRemove(`${between.host}/sample:latest`, right);
    expect(tokens.requests).toHaveLength(earlier);
    await expectCode(pull(`${between.host}/sample:latest`, { ...right, password: 'wrong' }), 'PERMISSION_DENIED');
    await expectCode(pull(`${between.host}/sample:latest`), 'PERMISSION_DENIED');
  });

  test.each<[string, () => AuthConfig]>([
    ['user and password', () => right],
    ['both in base64', () => ({ auth: BASIC_AUTHORIZATION.replace('Basic ', '') })],
    ['an identity token', () => ({ identity_token: IDENTITY_TOKEN })],
    ['a registry token', () => ({ registry_token: tokens.pushAuthorization('sample').replace('Bearer ', '') })],
  ])('%s are for the server that they name, or for the registry', async (_, auth) => {
    between.setRules();
    await pullAndRemove(`${between.host}/sample:latest`, auth());
    await pullAndRemove(`${between.host}/sample:latest`, { ...auth(), server_address: `https://${between.host}/v1/` });
    await expectCode(pull(`${between.host}/sample:latest`, { ...auth(), server_address: 'elsewhere.example' }), 'PERMISSION_DENIED');
  });

  test('neither they nor a header of the mirror file go along with a redirect', async () => {
    const elsewhere = await startFaultyRegistry(stage.registry.url);
    servers.push(elsewhere);
    await hosts(between.host, `server = "${between.url}"\n[header]\nx-secret = "${headerSecret}"\n`);
    between.setRules({ path: new RegExp(`blobs/${layer().digest}`), fault: { kind: 'redirect', to: `${elsewhere.url}/v2/sample/blobs/${layer().digest}` } });
    await pullAndRemove(`${between.host}/sample:latest`, right);
    expect(between.seen.some(({ headers }) => headers.authorization !== undefined && headers['x-secret'] === headerSecret)).toBe(true);
    expect(elsewhere.seen).toHaveLength(1);
    expect([elsewhere.seen[0]?.headers.authorization, elsewhere.seen[0]?.headers['x-secret']]).toEqual([undefined, undefined]);
  });

  test('a configured file brings those that a pull lacks, and is read anew', async () => {
    await expectCode(pull(`${basic.host}/sample:latest`), 'PERMISSION_DENIED');
    await writeFile(authFile, JSON.stringify({ auths: { [basic.host]: { auth: BASIC_AUTHORIZATION.replace('Basic ', '') } } }));
    await pullAndRemove(`${basic.host}/sample:latest`);
    await expectCode(pull(`${basic.host}/sample:latest`, { ...right, password: 'wrong' }), 'PERMISSION_DENIED');
  });
});

test('no secret of any kind is in the log at its most talkative', () => {
  const log = stage.daemon.log.join('\n');
  expect(log).toContain('"level":"debug"');
  const secrets = [REGISTRY_PASSWORD, BASIC_AUTHORIZATION.replace('Basic ', ''), IDENTITY_TOKEN, headerSecret, 'Bearer ey', 'eyJ0eXAiOi'];
  for (const secret of secrets) expect(log).not.toContain(secret);
});
