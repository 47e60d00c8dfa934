import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ServerResponse } from 'node:http';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { FakeRegistry } from '../testing/fake-registry.ts';
import type { SeenRequest } from '../testing/fake-registry.ts';
import { makeLayer, putImage } from '../testing/image-maker.ts';
import { ImageRig } from '../testing/image-rig.ts';
import type { Credentials, PullAuth } from './credentials.ts';

let registry: FakeRegistry;
let other: FakeRegistry;
let rig: ImageRig;
const layer = makeLayer({ file: 'content' });
const secret = 'correct-horse';
const basic: Credentials = { kind: 'basic', username: 'user', password: secret };
const basicHeader = `Basic ${Buffer.from(`user:${secret}`).toString('base64')}`;
const forRegistry = (credentials: Credentials): PullAuth => ({ credentials, serverHost: '' });

beforeEach(async () => {
  [registry, other, rig] = await Promise.all([FakeRegistry.start(), FakeRegistry.start(), ImageRig.create()]);
  putImage(registry, 'app', 'v1', [layer]);
  await rig.plainHttp(registry.host);
});

afterEach(async () => {
  expect(rig.logged.join('')).not.toContain(secret);
  await rig.close();
  await Promise.all([registry.stop(), other.stop()]);
});

const pull = (auth?: PullAuth): Promise<unknown> => rig.pull(`${registry.host}/app:v1`, auth);

function refuse(response: ServerResponse, challenge: string): true {
  response.writeHead(401, { 'www-authenticate': challenge }).end();
  return true;
}

/** A registry that wants `accepts()` and a token server on the other host that gives out `grant`. */
function tokenAuth(accepts: () => string, grant: (request: SeenRequest) => object | undefined): void {
  const challenge = `Bearer realm="http://${other.host}/token",service="test",scope="repository:app:pull"`;
  registry.intercept = (request, response) =>
    request.headers.authorization === `Bearer ${accepts()}` ? false : refuse(response, challenge);
  other.intercept = (request, response) => {
    const document = grant(request);
    response.writeHead(document === undefined ? 401 : 200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(document ?? { errors: [{ code: 'UNAUTHORIZED', message: 'wrong password' }] }));
    return true;
  };
}

describe('tokens', () => {
  test('an anonymous token is fetched once per pull', async () => {
    tokenAuth(() => 'abc', () => ({ token: 'abc' }));
    await pull();
    expect(other.seen).toHaveLength(1);
    expect(other.seen[0]?.headers.authorization).toBeUndefined();
    expect(Object.fromEntries(other.seen[0]?.query ?? [])).toEqual({ service: 'test', scope: 'repository:app:pull' });
  });

  test('user name and password go to the token server, not to the registry', async () => {
    tokenAuth(() => 'abc', (request) => (request.headers.authorization === basicHeader ? { access_token: 'abc' } : undefined));
    await pull(forRegistry(basic));
    expect(other.seen[0]?.query.get('account')).toBe('user');
    expect(registry.seen.every(({ headers }) => headers.authorization !== basicHeader)).toBe(true);
  });

  test('an identity token is exchanged in a form post', async () => {
    tokenAuth(() => 'abc', (request) => (request.method === 'POST' ? { access_token: 'abc' } : undefined));
    await pull(forRegistry({ kind: 'identity', token: secret }));
    expect(Object.fromEntries(new URLSearchParams(other.seen[0]?.body))).toMatchObject({
      grant_type: 'refresh_token',
      refresh_token: secret,
      service: 'test',
      scope: 'repository:app:pull',
    });
  });

  test('a registry token is sent as it is', async () => {
    tokenAuth(() => secret, () => undefined);
    await pull(forRegistry({ kind: 'registry', token: secret }));
    expect(other.seen).toEqual([]);
  });

  test('a token that expires in mid-pull is renewed', async () => {
    let issued = 0;
    let accepted = 1;
    tokenAuth(
      () => `token-${accepted}`,
      () => ({ token: `token-${(issued += 1)}` }),
    );
    const byToken = registry.intercept;
    registry.intercept = (request, response) => {
      if (request.path.includes('/blobs/') && accepted === 1) accepted = 2;
      return byToken(request, response);
    };
    await pull();
    expect(issued).toBe(2);
  });

  test('a refused password is a denial that does not tell it', async () => {
    tokenAuth(() => 'abc', () => undefined);
    const failure = await pull(forRegistry(basic)).catch((cause: unknown) => cause);
    expect(failure).toMatchObject({ code: 'REGISTRY_DENIED', message: expect.stringContaining('wrong password') });
    expect(String(failure)).not.toContain(secret);
  });

  test.each([
    ['no token', '{}'],
    ['not JSON', 'hello'],
    ['a token that would split the header', '{"token":"a\\r\\nx: y"}'],
  ])('a token server that answers %s is an error', async (_, body) => {
    tokenAuth(() => 'abc', () => ({}));
    other.intercept = (_request, response) => Boolean(response.writeHead(200).end(body));
    await expect(pull()).rejects.toThrow(expect.objectContaining({ code: 'REGISTRY_PROTOCOL' }));
  });
});

describe('basic authentication', () => {
  const wantBasic = (): void => {
    registry.intercept = (request, response) =>
      request.headers.authorization === basicHeader ? false : refuse(response, 'Basic realm="test"');
  };

  test('credentials are sent when the registry asks', async () => {
    wantBasic();
    await pull(forRegistry(basic));
    expect(registry.seen[0]?.headers.authorization).toBeUndefined();
    expect(registry.seen.at(-1)?.headers.authorization).toBe(basicHeader);
  });

  test('without credentials, or with wrong ones, access is denied after one attempt', async () => {
    wantBasic();
    await expect(pull()).rejects.toThrow(expect.objectContaining({ code: 'REGISTRY_DENIED' }));
    expect(registry.seen).toHaveLength(1);
    await expect(pull(forRegistry({ ...basic, password: 'wrong' } as Credentials))).rejects.toThrow(expect.objectContaining({ code: 'REGISTRY_DENIED' }));
    expect(registry.seen).toHaveLength(3);
  });

  test('credentials for another server stay at home', async () => {
    wantBasic();
    const elsewhere = { credentials: basic, serverHost: 'elsewhere.example.com' };
    await expect(pull(elsewhere)).rejects.toThrow(expect.objectContaining({ code: 'REGISTRY_DENIED' }));
    expect(registry.seen).toHaveLength(1);
  });

  test('a mirror from _default is not given the credentials', async () => {
    wantBasic();
    other.intercept = (_request, response) => refuse(response, 'Basic realm="test"');
    await rig.hosts('_default', `server = "http://${registry.host}"\n[host."http://${other.host}"]\n`);
    await rig.pull(`registry.invalid/app:v1`, forRegistry(basic)).catch(() => undefined);
    expect(other.seen.length).toBeGreaterThan(0);
    expect(other.seen.every(({ headers }) => headers.authorization === undefined)).toBe(true);
  });
});

describe('redirects', () => {
  test('a blob elsewhere is followed without credentials or headers', async () => {
    await rig.hosts(registry.host, `server = "http://${registry.host}"\n[header]\nx-secret = "${secret}"\n`);
    putImage(other, 'app', 'v1', [layer]);
    registry.intercept = (request, response) => {
      if (request.headers.authorization !== basicHeader) return refuse(response, 'Basic realm="test"');
      if (!request.path.includes(layer.digest)) return false;
      response.writeHead(307, { location: `http://${other.host}${request.path}?signed=1` }).end();
      return true;
    };
    await pull(forRegistry(basic));
    expect(registry.seen.at(-1)?.headers['x-secret']).toBe(secret);
    expect(other.seen).toHaveLength(1);
    expect(other.seen[0]?.headers.authorization).toBeUndefined();
    expect(other.seen[0]?.headers['x-secret']).toBeUndefined();
  });

  test('a challenge behind a redirect is not answered', async () => {
    registry.intercept = (request, response) => {
      if (!request.path.includes(layer.digest)) return false;
      response.writeHead(307, { location: `http://${other.host}/x` }).end();
      return true;
    };
    // Answered, it would have the password sent to a token server of the stranger's choice.
    other.intercept = (_request, response) => refuse(response, `Bearer realm="http://${other.host}/token",service="x"`);
    await expect(pull(forRegistry(basic))).rejects.toThrow(expect.objectContaining({ code: 'REGISTRY_DENIED' }));
    expect(other.seen.map(({ path }) => path)).toEqual(['/x']);
    expect(other.seen.every(({ headers }) => headers.authorization === undefined)).toBe(true);
  });

  test('a loop and a target that is no web address end the request', async () => {
    for (const location of ['/v2/app/manifests/v1', 'file:///etc/passwd']) {
      registry.intercept = (_request, response) => Boolean(response.writeHead(302, { location }).end());
      await expect(pull()).rejects.toThrow(expect.objectContaining({ code: 'REGISTRY_PROTOCOL' }));
    }
  });
});

describe('mirrors', () => {
  test('a mirror is told the registry, and what it lacks is asked of the registry', async () => {
    await rig.hosts(registry.host, `server = "http://${registry.host}"\n[host."http://${other.host}"]\n`);
    await pull();
    expect(other.seen[0]?.query.get('ns')).toBe(registry.host);
    expect(registry.seen[0]?.query.get('ns')).toBeNull();
  });

  test('a mirror that may not resolve is asked for content alone', async () => {
    putImage(other, 'app', 'v1', [layer]);
    await rig.hosts(registry.host, `server = "http://${registry.host}"\n[host."http://${other.host}"]\ncapabilities = ["pull"]\n`);
    await pull();
    expect(other.requests(/manifests/)).toEqual([]);
    expect(other.requests(/blobs/).length).toBeGreaterThan(0);
  });

  test('a mirror that is not there is passed over without waiting', async () => {
    const gone = await FakeRegistry.start();
    const { host } = gone;
    await gone.stop();
    await rig.hosts(registry.host, `server = "http://${registry.host}"\n[host."http://${host}"]\n`);
    await pull();
  });

  test('a mirror that is not there is waited for once in a pull', async () => {
    const layers = [layer, makeLayer({ other: 'content' })];
    putImage(registry, 'app', 'v1', layers);
    // It takes the connection, and then says nothing that would make it TLS.
    let connections = 0;
    const silent = createServer(() => void (connections += 1));
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as AddressInfo;
    await rig.hosts(registry.host, `server = "http://${registry.host}"\n[host."https://127.0.0.1:${port}"]\ndial_timeout = "100ms"\n`);
    await pull();
    expect(connections).toBe(1);
    silent.close();
  });

  test('a mirror that always fails is asked as often as the settings say, and then the registry', async () => {
    other.intercept = (_request, response) => Boolean(response.writeHead(500).end());
    await rig.hosts(registry.host, `server = "http://${registry.host}"\n[host."http://${other.host}"]\n`);
    await pull();
    expect(other.requests(/manifests/)).toHaveLength(3);
    expect(registry.requests(/manifests/)).toHaveLength(1);
  });

  test('a path that overrides stands for all that comes before the repository', async () => {
    putImage(other, 'cache/app', 'v1', [layer]);
    const seen: string[] = [];
    other.intercept = (request, response) => {
      seen.push(request.path);
      other.answer({ ...request, path: request.path.replace('/site/', '/v2/cache/') }, response);
      return true;
    };
    await rig.hosts(registry.host, `server = "http://${registry.host}"\n[host."http://${other.host}/site"]\noverride_path = true\n`);
    await pull();
    expect(seen[0]).toBe('/site/app/manifests/v1');
    expect(registry.seen).toEqual([]);
  });

  test('when all fail the registry’s answer counts and the mirrors’ are told', async () => {
    await rig.hosts(registry.host, `server = "http://${registry.host}"\n[host."http://${other.host}"]\n`);
    const failure = await rig.pull(`${registry.host}/absent:v1`).catch((cause: unknown) => cause);
    expect(failure).toMatchObject({ code: 'REGISTRY_NOT_FOUND' });
    expect(String(failure)).toContain(`before that: ${registry.host}/absent:v1: not found on ${other.host}`);
  });
});

describe('retries', () => {
  test.each([408, 429, 500, 502, 503, 504])('status %i is tried again', async (status) => {
    let left = 2;
    registry.intercept = (_request, response) => (left-- > 0 ? Boolean(response.writeHead(status).end()) : false);
    await pull();
  });

  test('a server that stays broken is given up', async () => {
    registry.intercept = (_request, response) => Boolean(response.writeHead(503).end());
    const failure = await pull().catch((cause: unknown) => cause);
    expect(failure).toMatchObject({ code: 'REGISTRY_UNAVAILABLE' });
    expect(registry.seen).toHaveLength(3);
  });

  test('a Retry-After beyond what is waited for ends the attempts', async () => {
    registry.intercept = (_request, response) => Boolean(response.writeHead(429, { 'retry-after': '3600' }).end());
    await expect(pull()).rejects.toThrow(expect.objectContaining({ code: 'REGISTRY_UNAVAILABLE' }));
    expect(registry.seen).toHaveLength(1);
  });

  test.each([400, 403, 405])('status %i is not tried again', async (status) => {
    registry.intercept = (_request, response) => Boolean(response.writeHead(status).end());
    await expect(pull()).rejects.toThrow();
    expect(registry.seen).toHaveLength(1);
  });
});

describe('proxies', () => {
  test('requests go through the proxy of the environment, without naming the credentials to it', async () => {
    putImage(other, 'app', 'v1', [layer]);
    rig.environment = { http_proxy: `http://${other.host}` };
    await rig.open();
    await rig.plainHttp('registry.invalid');
    await rig.pull('registry.invalid/app:v1', forRegistry(basic));
    expect(other.seen.length).toBeGreaterThan(0);
    expect(other.seen.every(({ headers }) => headers.host === 'registry.invalid')).toBe(true);
    expect(other.seen.every(({ headers }) => headers.authorization === undefined)).toBe(true);
  });

  test('NO_PROXY is left alone', async () => {
    rig.environment = { HTTP_PROXY: `http://${other.host}`, NO_PROXY: 'example.com, invalid' };
    await rig.open();
    await rig.plainHttp('registry.invalid');
    await expect(rig.pull('registry.invalid/app:v1')).rejects.toThrow(/registry\.invalid cannot be reached/);
    expect(other.seen).toEqual([]);
  });
});

test('control characters of a registry do not reach the message', async () => {
  registry.intercept = (_request, response) =>
    Boolean(response.writeHead(403).end(JSON.stringify({ errors: [{ code: 'X', message: 'a\u001b[2Jb\nc' }] })));
  const failure = await pull().catch((cause: unknown) => cause);
  expect(String(failure)).toContain('X a [2Jb c');
});
