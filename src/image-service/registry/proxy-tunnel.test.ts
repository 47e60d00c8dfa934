/** Proxies that refuse, or are not there: the failure is told, what is needed for it to work stays secret. */

import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FakeRegistry } from '../testing/fake-registry.ts';
import { makeLayer, putImage } from '../testing/image-maker.ts';
import { ImageRig } from '../testing/image-rig.ts';

let rig: ImageRig;
let proxy: Server;
let asked: string[];
const secret = 'proxy-secret';

beforeEach(async () => {
  rig = await ImageRig.create();
  asked = [];
  const refusal = 'HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n';
  proxy = createServer((_request, response) => void response.writeHead(407).end());
  proxy.on('connect', ({ url, headers }, socket) => {
    asked.push(`${url} ${headers['proxy-authorization']}`);
    socket.end(refusal);
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
});

afterEach(async () => {
  expect(rig.logged.join('')).not.toContain(secret);
  await rig.close();
  await new Promise((resolve) => proxy.close(resolve));
});

const proxyAt = (port: number): string => `http://user:${secret}@127.0.0.1:${port}`;
const port = (): number => (proxy.address() as AddressInfo).port;

test.each(['https', 'http'])('a proxy that wants another password makes the registry unavailable by %s', async (scheme) => {
  rig.environment = { HTTPS_PROXY: proxyAt(port()), HTTP_PROXY: proxyAt(port()) };
  await rig.open();
  await rig.hosts('r.invalid', `server = "${scheme}://r.invalid"\n`);
  const failure = await rig.pull('r.invalid/app:v1').catch((cause: unknown) => cause);
  expect(failure).toMatchObject({ code: 'REGISTRY_UNAVAILABLE', message: expect.stringMatching(/^RegistryUnavailable: .*407/) as string });
  expect(String(failure)).not.toContain(secret);
  const authorization = `Basic ${Buffer.from(`user:${secret}`).toString('base64')}`;
  if (scheme === 'https') expect(new Set(asked)).toEqual(new Set([`r.invalid:443 ${authorization}`]));
});

test('a proxy that is not there makes it unavailable too, and a variable that is no URL is named', async () => {
  for (const [value, message] of [[proxyAt(1), /^RegistryUnavailable: .*ECONNREFUSED/], [`http://user:${secret}@a b`, /variable HTTPS_PROXY is not/]] as const) {
    rig.environment = { HTTPS_PROXY: value };
    await rig.open();
    const failure = await rig.pull('r.invalid/app:v1').catch((cause: unknown) => cause);
    expect((failure as Error).message).toMatch(message);
    expect(`${String(failure)} ${JSON.stringify(failure)}`).not.toContain(secret);
  }
});

test('a redirect goes through the proxy that its own target needs', async () => {
  const [registry, store] = await Promise.all([FakeRegistry.start(), FakeRegistry.start()]);
  try {
    const layer = makeLayer({ file: 'content' });
    for (const server of [registry, store]) putImage(server, 'app', 'v1', [layer]);
    registry.intercept = ({ path }, response) =>
      path.endsWith(layer.digest) && Boolean(response.writeHead(307, { location: `http://store.invalid${path}` }).end());
    rig.environment = { HTTP_PROXY: `http://${store.host}` };
    await rig.open();
    await rig.plainHttp(registry.host);
    await rig.pull(`${registry.host}/app:v1`);
    expect(store.seen.map(({ headers }) => headers.host)).toEqual(['store.invalid']);
  } finally {
    await Promise.all([registry.stop(), store.stop()]);
  }
});
