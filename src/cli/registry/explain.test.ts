import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { registryCommand } from './explain.ts';

const manifest = '{"schemaVersion":2}';
const seen: (string | undefined)[] = [];
let server: Server;
let directory: string;
let url: string;

beforeAll(async () => {
  server = createServer(({ headers, url: path }, response) => {
    seen.push(headers.authorization);
    if (headers.authorization === undefined) response.writeHead(401, { 'www-authenticate': 'Basic realm="test"' }).end();
    else if (path?.startsWith('/v2/team/app/manifests/') === true) response.writeHead(200, { 'content-type': 'application/test' }).end(manifest);
    else response.writeHead(404).end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  directory = await mkdtemp(join(tmpdir(), 'berth-explain-'));
  for (const [name, ca] of [['registry.test', 'ca = "/etc/ssl/own.pem"\n'], ['_default', '']] as const) {
    await mkdir(join(directory, 'certs.d', name), { recursive: true });
    await writeFile(join(directory, 'certs.d', name, 'hosts.toml'), `server = "https://127.0.0.1:1"\n${ca}[host."${url}"]\n  capabilities = ["pull"]\n  [host."${url}".header]\n    X-Secret = "hidden"\n`);
  }
  const auth = Buffer.from('user:file-password').toString('base64');
  await writeFile(join(directory, 'auth.json'), JSON.stringify({ auths: { [url]: { auth } } }));
  await writeFile(join(directory, 'berth.toml'), `[registry]\nconfig_dir = "${join(directory, 'certs.d')}"\nauth_file = "${join(directory, 'auth.json')}"\n`);
});

afterAll(async () => {
  server.close();
  await rm(directory, { recursive: true });
});

async function explain(...args: string[]): Promise<{ code: number; text: string; problem: string }> {
  let text = '';
  let problem = '';
  const output = { write: (more: string) => void (text += more), complain: (more: string) => void (problem += more) };
  const code = await registryCommand.run(['explain', ...args, '--config', join(directory, 'berth.toml')], output);
  return { code, text, problem };
}

test('names every host with its trust, its credentials and its answer, and no secret', async () => {
  const { code, text } = await explain('registry.test/team/app:1');
  expect(code).toBe(0);
  expect(text).toContain(`hosts are named by ${join(directory, 'certs.d/registry.test/hosts.toml')}`);
  expect(text).toMatch(/1\. http:\/\/127\.0\.0\.1:\d+\/v2 \(mirror\)\n {3}asked for {4}pull\n {3}trust {8}none: plain HTTP/);
  expect(text).toContain(`credentials  ${join(directory, 'auth.json')}`);
  expect(text).toContain('headers      x-secret');
  expect(text).toMatch(/answer {7}sha256:[0-9a-f]{64} application\/test in \d+ ms/);
  expect(text).toMatch(/2\. https:\/\/127\.0\.0\.1:1\/v2/);
  expect(text).toMatch(/trust {8}the system's authorities, \/etc\/ssl\/own\.pem/);
  expect(text).toMatch(/answer {7}read the certificate file \/etc\/ssl\/own\.pem: ENOENT/);
  expect(text).not.toMatch(/hidden|file-password/);
  expect(seen).toContain(`Basic ${Buffer.from('user:file-password').toString('base64')}`);
});

test('credentials of one registry are withheld from a mirror of all', async () => {
  seen.length = 0;
  const { code, text } = await explain('other.test/team/app:1', '--user', 'me:given-password');
  expect(code).toBe(1);
  expect(text).toContain('credentials  withheld');
  expect(seen).toEqual([undefined]);
  expect(text).not.toContain('given-password');
});

test('credentials that a file holds for a mirror of all are its own, and sent', async () => {
  seen.length = 0;
  const { code, text } = await explain('other.test/team/app:1');
  expect(code).toBe(0);
  expect(text).toContain(`credentials  ${join(directory, 'auth.json')}`);
  expect(seen).toContain(`Basic ${Buffer.from('user:file-password').toString('base64')}`);
});

test('the proxy of a host is named without its password', async () => {
  vi.stubEnv('HTTPS_PROXY', 'http://user:proxy-password@127.0.0.1:1');
  vi.stubEnv('NO_PROXY', 'direct.test');
  try {
    const { text } = await explain('registry-of-nobody.test/team/app:1', '--registry-config-dir', '/nowhere');
    expect(text).toMatch(/proxy {8}127\.0\.0\.1:1\n/);
    expect(text).not.toContain('proxy-password');
    expect((await explain('direct.test/team/app:1', '--registry-config-dir', '/nowhere')).text).not.toContain('proxy ');
  } finally {
    vi.unstubAllEnvs();
  }
});

test('as JSON', async () => {
  const { text } = await explain('registry.test/team/app:1', '--json');
  expect(JSON.parse(text)).toMatchObject({
    reference: 'registry.test/team/app:1',
    endpoints: [{ mirror: true, credentials: 'file', headers: ['x-secret'], answer: { type: 'application/test' } }, { mirror: true, answer: { problem: expect.any(String) as string } }],
  });
});

test('wrong usage', async () => {
  const output = { write: () => undefined, complain: () => undefined };
  expect(await registryCommand.run(['explain'], output)).toBe(2);
  expect(await registryCommand.run(['pull', 'x'], output)).toBe(2);
  await expect(explain('Not A Reference')).rejects.toMatchObject({ code: 'INVALID_REFERENCE' });
});
