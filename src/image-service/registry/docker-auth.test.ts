import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readAuthFile } from './docker-auth.ts';

let directory: string;
let file: string;
const path = process.env['PATH'];
const never = new AbortController().signal;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'berth-auth-'));
  file = join(directory, 'config.json');
  process.env['PATH'] = `${directory}:${path}`;
});

afterEach(async () => {
  process.env['PATH'] = path;
  await rm(directory, { recursive: true });
});

async function ask(content: unknown, host: string) {
  await writeFile(file, typeof content === 'string' ? content : JSON.stringify(content));
  return (await readAuthFile(file, never)).credentials(host, never);
}

async function helper(name: string, script: string): Promise<void> {
  const program = join(directory, `docker-credential-${name}`);
  await writeFile(program, `#!/bin/sh\n${script}\n`);
  await chmod(program, 0o755);
}

const basic = (username: string, password: string, serverHost: string) => ({ credentials: { kind: 'basic', username, password }, serverHost });
const encoded = Buffer.from('user:pass:word').toString('base64');

describe('entries', () => {
  test.each([
    ['registry.example.com', 'registry.example.com'],
    ['https://registry.example.com/v1/', 'registry.example.com'],
    ['registry.example.com:5000', 'registry.example.com:5000'],
    ['https://index.docker.io/v1/', 'registry-1.docker.io'],
    ['docker.io', 'registry-1.docker.io'],
  ])('"%s" is for %s', async (key, host) => {
    expect(await ask({ auths: { [key]: { auth: encoded } } }, host)).toEqual(basic('user', 'pass:word', host));
  });

  test('of other hosts and ports are not sent', async () => {
    const auths = { 'registry.example.com': { auth: encoded }, 'example.com': { auth: encoded } };
    for (const host of ['registry.example.com:5000', 'evil.registry.example.com', 'com']) expect(await ask({ auths }, host)).toBeUndefined();
  });

  test('come in every form', async () => {
    expect(await ask({ auths: { h: { username: 'u', password: 'p' } } }, 'h')).toEqual(basic('u', 'p', 'h'));
    expect(await ask({ auths: { h: { identitytoken: 't' } } }, 'h')).toMatchObject({ credentials: { kind: 'identity', token: 't' } });
    expect(await ask({ auths: { h: { registrytoken: 't' } } }, 'h')).toMatchObject({ credentials: { kind: 'registry', token: 't' } });
    expect(await ask({ auths: { h: {} } }, 'h')).toBeUndefined();
    expect(await ask({}, 'h')).toBeUndefined();
  });

  test.each<[unknown, RegExp]>([
    ['{"auths": "my secret', /config\.json: it is not JSON/],
    [[], /is not an object/],
    [{ auths: [] }, /auths is not an object/],
    [{ auths: { h: 'x' } }, /auths\."h" is not an object/],
    [{ auths: { h: { auth: 'secret' } } }, /auths\."h": auth\.auth/],
    [{ auths: { h: { auth: 5 } } }, /auth is not a string/],
    [{ credHelpers: { h: '../../bin/sh' } }, /is not a helper's name/],
  ])('%j is refused without a word of its secrets', async (content, message) => {
    const failure = await ask(content, 'h').catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringMatching(message) as string });
    expect(String(failure)).not.toContain('secret');
  });
});

describe('helpers', () => {
  test('are asked for their hosts, before the entries', async () => {
    await helper('vault', 'read host; [ "$1" = get ] && echo "{\\"ServerURL\\":\\"$host\\",\\"Username\\":\\"at-$host\\",\\"Secret\\":\\"s\\"}"');
    const content = { auths: { h: { auth: encoded }, other: { auth: encoded } }, credHelpers: { h: 'vault' } };
    expect(await ask(content, 'h')).toEqual(basic('at-h', 's', 'h'));
    expect(await ask(content, 'other')).toEqual(basic('user', 'pass:word', 'other'));
  });

  test('store every other host where credsStore says so', async () => {
    await helper('all', 'echo \'{"Username":"<token>","Secret":"t"}\'');
    expect(await ask({ credsStore: 'all' }, 'any')).toEqual({ credentials: { kind: 'identity', token: 't' }, serverHost: 'any' });
  });

  test('that know nothing make the pull anonymous', async () => {
    await helper('empty', 'echo credentials not found in native keychain; exit 1');
    expect(await ask({ credsStore: 'empty' }, 'h')).toBeUndefined();
  });

  test('that fail fail the pull, and what they said stays unsaid', async () => {
    await helper('broken', 'echo "the secret is s3cret"; exit 1');
    const failure = await ask({ credsStore: 'broken' }, 'h').catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining('docker-credential-broken') as string });
    expect(String(failure)).not.toContain('s3cret');
    await expect(ask({ credsStore: 'missing' }, 'h')).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });
});

test('a file that is not there is named', async () => {
  await expect(readAuthFile('/nowhere/config.json', never)).rejects.toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining('/nowhere/config.json') as string });
});
