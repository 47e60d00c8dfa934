import { execFileSync, spawnSync } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createServer, rootCertificates } from 'node:tls';
import type { SecureContext, Server } from 'node:tls';
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { TrustStore, systemTrust } from './trust-store.ts';

const openssl = spawnSync('openssl', ['version']).status === 0;
let made: string;
let directory: string;

const at = (name: string): string => join(directory, name);

beforeAll(async () => {
  made = await mkdtemp(join(tmpdir(), 'berth-trust-'));
  for (const name of openssl ? ['one', 'two'] : []) {
    execFileSync('openssl', [
      'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1',
      '-keyout', join(made, `${name}.key`), '-out', join(made, `${name}.pem`),
    ], { stdio: 'ignore' });
  }
});

afterAll(async () => {
  await rm(made, { recursive: true, force: true });
});

beforeEach(async () => {
  directory = await mkdtemp(join(made, 'system-'));
  await mkdir(at('dir'));
});

const store = (): TrustStore => new TrustStore({ bundles: [at('missing.pem'), at('bundle.pem'), at('later.pem')], directories: [at('dir'), at('no-dir')] });
const give = (name: string, to: string): Promise<void> => copyFile(join(made, `${name}.pem`), at(to));
const nothing = { ca: [], client: [] };

/** Whether a server that shows this certificate is trusted. */
async function trusts(secureContext: SecureContext, name: string): Promise<boolean> {
  const server: Server = createServer({ cert: readFileSync(join(made, `${name}.pem`)), key: readFileSync(join(made, `${name}.key`)) }, (socket) => socket.end());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    return await new Promise<boolean>((resolve) => {
      const socket = connect({ host: '127.0.0.1', port: (server.address() as AddressInfo).port, secureContext });
      socket.once('secureConnect', () => resolve(true)).once('error', () => resolve(false)).once('close', () => socket.destroy());
    });
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}

describe.skipIf(!openssl)('trust', () => {
  test('the first bundle that is there and every file of the directories count', async () => {
    await give('one', 'bundle.pem');
    await give('two', 'later.pem');
    const context = await store().context(nothing);
    expect([await trusts(context, 'one'), await trusts(context, 'two')]).toEqual([true, false]);
    await give('two', 'dir/anything');
    expect(await trusts(await store().context(nothing), 'two')).toBe(true);
  });

  test('what is given comes on top', async () => {
    await give('one', 'bundle.pem');
    await give('two', 'own.pem');
    const context = await store().context({ ca: [at('own.pem')], client: [] });
    expect([await trusts(context, 'one'), await trusts(context, 'two')]).toEqual([true, true]);
  });

  test('one context serves all that need the same, until a file changes', async () => {
    const trust = store();
    await give('one', 'bundle.pem');
    await give('two', 'own.pem');
    const plain = await trust.context(nothing);
    const own = await trust.context({ ca: [at('own.pem')], client: [] });
    expect(own).not.toBe(plain);
    expect(await trust.context(nothing)).toBe(plain);
    expect(await trust.context({ ca: [at('own.pem')], client: [] })).toBe(own);
    await give('one', 'own.pem');
    expect(await trust.context({ ca: [at('own.pem')], client: [] })).not.toBe(own);
    await give('two', 'dir/new');
    expect(await trust.context(nothing)).not.toBe(plain);
    expect(await trusts(await trust.context(nothing), 'two')).toBe(true);
  });

  test('the same certificate is shown with another key as another context, and one that does not fit it is refused by name', async () => {
    await give('one', 'client.pem');
    await copyFile(join(made, 'one.key'), at('client.key'));
    const client = [{ cert: at('client.pem'), key: at('client.key') }];
    const trust = store();
    await trust.context({ ca: [], client });
    await copyFile(join(made, 'two.key'), at('client.key'));
    await expect(trust.context({ ca: [], client })).rejects.toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining(`${at('client.pem')}, ${at('client.key')}`) });
  });
});

test('a file that is missing or holds something else is named', async () => {
  await writeFile(at('garbage.pem'), '-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n');
  for (const name of ['none.pem', 'garbage.pem']) {
    await expect(store().context({ ca: [at(name)], client: [] })).rejects.toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining(at(name)) });
  }
});

test('where the system says nothing, there is a list to fall back on', async () => {
  expect(rootCertificates.length).toBeGreaterThan(50);
  await expect(store().context(nothing)).resolves.toBeDefined();
});

test('the environment takes the place of the known files and directories', () => {
  const known = systemTrust({});
  expect(known.bundles).toContain('/etc/ssl/certs/ca-certificates.crt');
  expect(systemTrust({ SSL_CERT_FILE: '/f', SSL_CERT_DIR: '/a::/b' })).toEqual({ bundles: ['/f'], directories: ['/a', '/b'] });
  expect(systemTrust({ SSL_CERT_FILE: '/f' })).toEqual({ bundles: ['/f'], directories: known.directories });
});
