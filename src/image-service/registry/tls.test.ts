/** Certificates from the mirror file, on a real TLS server. The certificates are made by openssl. */

import { execFileSync, spawnSync } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { FakeRegistry } from '../testing/fake-registry.ts';
import { makeLayer, putImage } from '../testing/image-maker.ts';
import { ImageRig } from '../testing/image-rig.ts';

const openssl = spawnSync('openssl', ['version']).status === 0;
let certificates: string;
let behind: FakeRegistry;
let rig: ImageRig;
let server: Server;
let host: string;
let clientNames: (string | undefined)[];

function selfSigned(name: string): void {
  const files = ['-keyout', join(certificates, `${name}.key`), '-out', join(certificates, `${name}.pem`)];
  const names = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1'];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', ...files, ...names], {
    stdio: 'ignore',
  });
}

beforeAll(async () => {
  certificates = await mkdtemp(join(tmpdir(), 'berth-tls-'));
  if (openssl) for (const name of ['server', 'client']) selfSigned(name);
});

afterAll(async () => {
  await rm(certificates, { recursive: true, force: true });
});

describe.skipIf(!openssl)('TLS', () => {
  beforeEach(async () => {
    clientNames = [];
    [behind, rig] = await Promise.all([FakeRegistry.start(), ImageRig.create()]);
    putImage(behind, 'app', 'v1', [makeLayer({ file: 'content' })]);
    const file = (name: string): Promise<Buffer> => readFile(join(certificates, name));
    server = createServer(
      { cert: await file('server.pem'), key: await file('server.key'), ca: await file('client.pem'), requestCert: true, rejectUnauthorized: false },
      (request, response) => {
        clientNames.push((request.socket as TLSSocket).getPeerCertificate().subject?.CN as string | undefined);
        const url = new URL(request.url ?? '/', 'https://x');
        const seen = { method: 'GET', path: url.pathname, query: url.searchParams, headers: request.headers, body: '' };
        if (!behind.intercept(seen, response)) behind.answer(seen, response);
      },
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  });

  afterEach(async () => {
    await rig.close();
    server.closeAllConnections();
    await Promise.all([behind.stop(), new Promise((resolve) => server.close(resolve))]);
  });

  const pull = (): Promise<unknown> => rig.pull(`${host}/app:v1`);

  test('a certificate of nobody known is refused', async () => {
    await expect(pull()).rejects.toThrow(expect.objectContaining({ code: 'REGISTRY_UNAVAILABLE', message: expect.stringMatching(/self.signed/) }));
    expect(clientNames).toEqual([]);
  });

  test('ca makes it trusted', async () => {
    await rig.hosts(host, `ca = "${join(certificates, 'server.pem')}"\n`);
    await pull();
  });

  test('skip_verify does without', async () => {
    await rig.hosts(host, 'skip_verify = true\n');
    await pull();
  });

  test('the client certificate is shown', async () => {
    const pair = `[["${join(certificates, 'client.pem')}", "${join(certificates, 'client.key')}"]]`;
    await rig.hosts(host, `ca = "${join(certificates, 'server.pem')}"\nclient = ${pair}\n`);
    await pull();
    expect(new Set(clientNames)).toEqual(new Set(['client']));
  });

  test('the client certificate may lie in one file with its key, and be one of several', async () => {
    const parts = await Promise.all(['pem', 'key'].map((suffix) => readFile(join(certificates, `client.${suffix}`), 'utf8')));
    await mkdir(join(rig.certs, host), { recursive: true });
    await writeFile(join(rig.certs, host, 'both.pem'), parts.join(''));
    for (const client of ['"both.pem"', '["both.pem"]', '[["both.pem", ""]]']) {
      clientNames.length = 0;
      await rig.hosts(host, `ca = ["${join(certificates, 'server.pem')}"]\nclient = ${client}\n`);
      await pull();
      expect(new Set(clientNames)).toEqual(new Set(['client']));
    }
  });

  test('Docker’s tree is trusted and shown like the mirror tree', async () => {
    const directory = join(rig.dockerCerts, host);
    await mkdir(directory, { recursive: true });
    for (const [from, to] of [['server.pem', 'ca.crt'], ['client.pem', 'client.cert'], ['client.key', 'client.key']] as const) {
      await copyFile(join(certificates, from), join(directory, to));
    }
    await pull();
    expect(new Set(clientNames)).toEqual(new Set(['client']));
  });

  test('a certificate file that is missing is named', async () => {
    await rig.hosts(host, 'ca = "/nowhere/ca.pem"\n');
    await expect(pull()).rejects.toThrow(expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining('/nowhere/ca.pem') }));
  });

  test('a redirect to plain HTTP is not followed', async () => {
    await rig.hosts(host, 'skip_verify = true\n');
    behind.intercept = (request, response) => {
      if (!request.path.includes('/blobs/')) return false;
      return Boolean(response.writeHead(307, { location: `http://${behind.host}${request.path}` }).end());
    };
    await expect(pull()).rejects.toThrow(/redirects from https: to http:/);
    expect(behind.seen).toEqual([]);
  });

  test('a token server without https is not asked', async () => {
    await rig.hosts(host, 'skip_verify = true\n');
    behind.intercept = (_request, response) =>
      Boolean(response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${behind.host}/token"` }).end());
    await expect(pull()).rejects.toThrow(expect.objectContaining({ code: 'REGISTRY_DENIED' }));
    expect(behind.seen).toEqual([]);
  });
});
