import { execFileSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { AuthConfig } from '../../src/cri-server/generated/runtime/v1/AuthConfig.ts';
import { startConnectProxy } from '../harness/connect-proxy.ts';
import { buildImage, buildLayer } from '../harness/oci-image.ts';
import type { BuiltImage } from '../harness/oci-image.ts';
import { BASIC_AUTHORIZATION, REGISTRY_PASSWORD, REGISTRY_USER, startRegistry } from '../harness/registry.ts';
import { file } from '../harness/root-fs.ts';
import { expectCode, useStage } from '../harness/stage.ts';
import { startTokenServer } from '../harness/token-server.ts';

const sample = (): BuiltImage => buildImage([buildLayer([file('small', 'a small file\n')])]);
/** Characters that a URL has to escape. */
const proxyPassword = 'p@ss/word';
/** Names that nobody but the proxy knows. */
const routes: Record<string, string> = {};
const proxy = await startConnectProxy({ routes, credentials: `proxy-user:${proxyPassword}` });
const proxyUrl = `http://proxy-user:${encodeURIComponent(proxyPassword)}@${proxy.host}`;

const stage = useStage({
  images: { sample },
  pulled: [],
  leaks: { images: true },
  logLevel: 'trace',
  env: { HTTPS_PROXY: proxyUrl, https_proxy: '', HTTP_PROXY: '', http_proxy: proxyUrl.replace('http://', ''), NO_PROXY: 'direct.test,10.0.0.0/8', no_proxy: '' },
});

const certificates = mkdtempSync(join(tmpdir(), 'berth-proxies-'));
const tls = { certificate: join(certificates, 'server.pem'), key: join(certificates, 'server.key') };
const servers: { stop(): Promise<void> }[] = [proxy];
const right: AuthConfig = { username: REGISTRY_USER, password: REGISTRY_PASSWORD };

beforeAll(async () => {
  const names = ['-subj', '/CN=berth', '-addext', 'subjectAltName=DNS:secure.test,IP:127.0.0.1'];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-keyout', tls.key, '-out', tls.certificate, ...names], { stdio: 'ignore' });
  const tokens = await startTokenServer({ anonymous: false, tls });
  const secure = await startRegistry(tokens.auth, stage.registry.storage, tls);
  servers.push(tokens, secure);
  routes['secure.test:443'] = secure.host;
  routes['plain.test'] = stage.registry.host;
  await hosts('secure.test', `server = "https://secure.test"\nca = "${tls.certificate}"\n`);
  for (const name of ['plain.test', 'direct.test']) await hosts(name, `server = "http://${name}"\n`);
});
afterAll(async () => {
  for (const server of servers.toReversed()) await server.stop();
  await rm(certificates, { recursive: true });
});
beforeEach(() => void proxy.seen.splice(0));

async function hosts(domain: string, content: string): Promise<void> {
  const directory = join(stage.daemon.directory, 'certs.d', domain);
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, 'hosts.toml'), content);
}

async function pullAndRemove(reference: string, auth: AuthConfig | null = null): Promise<void> {
  expect(await stage.cri.call('PullImage', { image: { image: reference }, auth })).toEqual({ image_ref: sample().id });
  await stage.cri.call('RemoveImage', { image: { image: reference } });
}

test('https goes through a tunnel, end to end; what is on this machine, such as the token server, does not', async () => {
  await pullAndRemove('secure.test/sample:latest', right);
  expect(new Set(proxy.seen)).toEqual(new Set(['CONNECT secure.test:443']));
});

test('what the tunnel leads to has to have the certificate of the name', async () => {
  await hosts('secure.test', 'server = "https://secure.test"\n');
  await expectCode(stage.cri.call('PullImage', { image: { image: 'secure.test/sample:latest' }, auth: right }), 'UNKNOWN', /^RegistryUnavailable: .*certificate/);
});

test('plain HTTP is asked of the proxy, whose variable may be in lower case and without http://', async () => {
  await pullAndRemove('plain.test/sample:latest');
  expect(proxy.seen[0]).toBe('GET http://plain.test/v2/sample/manifests/latest');
  expect(proxy.seen).toHaveLength(3);
});

test('NO_PROXY is left alone', async () => {
  await expectCode(stage.cri.call('PullImage', { image: { image: 'direct.test/sample:latest' } }), 'UNKNOWN', /^RegistryUnavailable: .*direct\.test/);
  expect(proxy.seen).toEqual([]);
});

test('neither the proxy’s password nor the registry’s is in the log', () => {
  const log = stage.daemon.log.join('\n');
  expect(log).toContain('secure.test/sample');
  const both = [proxyPassword, REGISTRY_PASSWORD].flatMap((password) => [password, encodeURIComponent(password)]);
  for (const secret of [...both, Buffer.from(`proxy-user:${proxyPassword}`).toString('base64'), BASIC_AUTHORIZATION]) expect(log).not.toContain(secret);
});
