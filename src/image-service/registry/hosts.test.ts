import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseDuration } from './duration.ts';
import { findEndpoints, readEndpoints } from './hosts.ts';
import type { HostSources } from './hosts.ts';

let tree: string;
const signal = new AbortController().signal;
const sources = (): HostSources => ({ configDir: tree, dockerCertsDir: join(tree, 'docker') });

beforeEach(async () => {
  tree = await mkdtemp(join(tmpdir(), 'berth-hosts-'));
});

afterEach(async () => {
  await rm(tree, { recursive: true, force: true });
});

async function put(directory: string, name: string, text: string): Promise<void> {
  await mkdir(join(tree, directory), { recursive: true });
  await writeFile(join(tree, directory, name), text);
}

async function urls(domain: string): Promise<readonly string[]> {
  return (await readEndpoints(sources(), domain, signal)).map(({ origin, basePath }) => origin + basePath);
}

describe('without a file', () => {
  test.each([
    ['docker.io', 'https://registry-1.docker.io/v2'],
    ['registry.example.com:5000', 'https://registry.example.com:5000/v2'],
    ['localhost:5000', 'https://localhost:5000/v2'],
    ['[::1]:5000', 'https://[::1]:5000/v2'],
  ])('%s is %s', async (domain, url) => {
    expect(await urls(domain)).toEqual([url]);
  });
});

describe('hosts.toml', () => {
  test('mirrors in the order of the file, then the server', async () => {
    await put('docker.io', 'hosts.toml', '[host."https://z.example.com"]\n[host."http://a.example.com:5000/proxy"]\n');
    expect(await urls('docker.io')).toEqual([
      'https://z.example.com/v2',
      'http://a.example.com:5000/proxy/v2',
      'https://registry-1.docker.io/v2',
    ]);
  });

  test('every setting', async () => {
    const text = `
      server = "https://registry.example.com"
      [host."https://m.example.com/x"]
        capabilities = ["pull", "Resolve"]
        ca = ["one.pem", "/etc/two.pem"]
        client = [["c.pem", "k.pem"], ["both.pem", ""]]
        skip_verify = true
        override_path = true
        dial_timeout = "1m2.5s"
        [host."https://m.example.com/x".header]
          X-One = "1"
          x-two = ["2", "3"]
    `;
    await put('registry.example.com', 'hosts.toml', text);
    const directory = join(tree, 'registry.example.com');
    const [mirror, own] = await readEndpoints(sources(), 'registry.example.com', signal);
    expect(mirror).toEqual({
      origin: 'https://m.example.com',
      host: 'm.example.com',
      basePath: '/x',
      capabilities: new Set(['pull', 'resolve']),
      headers: { 'x-one': ['1'], 'x-two': ['2', '3'] },
      tls: {
        ca: [join(directory, 'one.pem'), '/etc/two.pem'],
        client: [
          { cert: join(directory, 'c.pem'), key: join(directory, 'k.pem') },
          { cert: join(directory, 'both.pem'), key: undefined },
        ],
        skipVerify: true,
      },
      dialTimeout: 62_500,
      isMirror: true,
      trustedWithCredentials: true,
    });
    expect(own).toMatchObject({ isMirror: false, trustedWithCredentials: true, tls: { skipVerify: false } });
  });

  test('settings at the top level are the server’s', async () => {
    await put('r.example.com', 'hosts.toml', 'server = "http://r.example.com"\nca = "x.pem"\n[header]\nx = "y"\n');
    expect(await readEndpoints(sources(), 'r.example.com', signal)).toMatchObject([
      { origin: 'http://r.example.com', headers: { x: ['y'] }, tls: { ca: [join(tree, 'r.example.com', 'x.pem')] } },
    ]);
  });

  test('a file that lists the registry itself has it asked once', async () => {
    await put('r.example.com', 'hosts.toml', '[host."https://r.example.com"]\n');
    expect(await urls('r.example.com')).toEqual(['https://r.example.com/v2']);
  });

  test('_default is for registries without a file; its mirrors are not trusted with credentials', async () => {
    await put('_default', 'hosts.toml', '[host."https://cache.example.com"]\n');
    await put('own.example.com', 'hosts.toml', '');
    expect(await urls('own.example.com')).toEqual(['https://own.example.com/v2']);
    const endpoints = await readEndpoints(sources(), 'other.example.com', signal);
    expect(endpoints.map(({ host, trustedWithCredentials }) => [host, trustedWithCredentials])).toEqual([
      ['cache.example.com', false],
      ['other.example.com', true],
    ]);
  });

  test('HOST_PORT_ stands for HOST:PORT', async () => {
    await put('r.example.com_5000_', 'hosts.toml', 'server = "http://r.example.com:5000"\n');
    expect(await urls('r.example.com:5000')).toEqual(['http://r.example.com:5000/v2']);
  });

  test('a change counts for the next pull', async () => {
    await put('r.example.com', 'hosts.toml', '[host."https://one.example.com"]\n');
    expect((await urls('r.example.com'))[0]).toContain('one');
    await put('r.example.com', 'hosts.toml', '[host."https://two.example.com"]\n');
    expect((await urls('r.example.com'))[0]).toContain('two');
  });

  test.each([
    ['server = ', /hosts\.toml/],
    ['server = 5', /server is not a URL/],
    ['server = "ftp://x"', /neither https nor http/],
    ['server = "https://user:secret@x"', /must not hold credentials/],
    ['[host."https://x"]\ncapabilities = ["fly"]', /host\."https:\/\/x"\.capabilities holds "fly"/],
    ['skip_verify = "yes"', /skip_verify is neither true nor false/],
    ['dial_timeout = "soon"', /dial_timeout is not a duration/],
    ['ca = 5', /ca is neither/],
    ['client = [["a", "b", "c"]]', /client is neither/],
    ['[header]\nx = 5', /header\.x is neither/],
  ])('%j is refused with file and field', async (text, message) => {
    await put('r.example.com', 'hosts.toml', text);
    const failure = await readEndpoints(sources(), 'r.example.com', signal).catch((cause: unknown) => cause);
    expect(failure).toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringMatching(message) });
    expect(String(failure)).toContain('r.example.com/hosts.toml');
    expect(String(failure)).not.toContain('secret');
  });
});

test('certificates in the Docker layout are used where there is no hosts.toml', async () => {
  for (const name of ['ca.crt', 'client.cert', 'client.key']) await put('r.example.com', name, '');
  const at = (name: string): string => join(tree, 'r.example.com', name);
  expect((await readEndpoints(sources(), 'r.example.com', signal))[0]?.tls).toEqual({
    ca: [at('ca.crt')],
    client: [{ cert: at('client.cert'), key: at('client.key') }],
    skipVerify: false,
  });
});

test.each([
  ['5s', 5000],
  ['1h2m3s', 3_723_000],
  ['1.5s', 1500],
  ['250us', 1],
  ['5', undefined],
  ['-5s', undefined],
  ['', undefined],
])('duration %j is %j ms', (text, milliseconds) => {
  expect(parseDuration(text)).toBe(milliseconds);
});

describe('certificates of Docker’s own tree', () => {
  const named = (domain: string) => findEndpoints(sources(), domain, signal);

  test('count for what the mirror tree does not name, and are told as the source', async () => {
    await put('docker/r.example.com:5000', 'ca.crt', '');
    const { source, endpoints } = await named('r.example.com:5000');
    expect(source).toBe(join(tree, 'docker/r.example.com:5000'));
    expect(endpoints).toMatchObject([{ origin: 'https://r.example.com:5000', isMirror: false, tls: { ca: [join(tree, 'docker/r.example.com:5000/ca.crt')] } }]);
  });

  test('do not when the tree names the registry, or every registry, or there is no such tree', async () => {
    await put('docker/r.example.com', 'ca.crt', '');
    // `src` is there where the tests run: no tree is not the current directory.
    for (const domain of ['r.example.com', 'src']) expect((await findEndpoints({ ...sources(), dockerCertsDir: '' }, domain, signal)).source).toBeUndefined();
    await put('_default', 'hosts.toml', '');
    expect((await named('r.example.com')).source).toBe(join(tree, '_default/hosts.toml'));
    await put('r.example.com', 'hosts.toml', '');
    expect((await named('r.example.com')).source).toBe(join(tree, 'r.example.com/hosts.toml'));
  });

  test('hold no mirrors: a hosts.toml there is nobody’s', async () => {
    await put('docker/r.example.com', 'hosts.toml', '[host."https://m.example.com"]\n');
    expect(await urls('r.example.com')).toEqual(['https://r.example.com/v2']);
  });

  test('lack no key', async () => {
    await put('docker/r.example.com', 'client.cert', '');
    await expect(named('r.example.com')).rejects.toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining('client.key is missing') as string });
  });
});
