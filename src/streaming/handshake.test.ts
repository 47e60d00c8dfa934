import type { IncomingMessage } from 'node:http';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { acceptSpdy, listed, negotiate, parseAddress, refuse, requestedUpgrade } from './handshake.ts';

const request = (headers: Record<string, string>): IncomingMessage => ({ headers }) as unknown as IncomingMessage;

test('addresses', () => {
  expect(parseAddress('/exec/abc-_9')).toEqual({ kind: 'exec', token: 'abc-_9' });
  expect(parseAddress('/portforward/x?port=80')).toEqual({ kind: 'portforward', token: 'x' });
  for (const url of [undefined, '', '/', '/exec', '/exec/', '/exec/a/b', '/other/a', '/exec/a%20b', `/exec/${'a'.repeat(65)}`, '//exec/a']) {
    expect(parseAddress(url)).toBeUndefined();
  }
});

test('what a connection is to become', () => {
  expect(requestedUpgrade(request({ upgrade: 'SPDY/3.1' }))).toBe('spdy');
  expect(requestedUpgrade(request({ upgrade: 'h2c, spdy/3.1' }))).toBe('spdy');
  expect(requestedUpgrade(request({ upgrade: 'WebSocket' }))).toBe('websocket');
  for (const upgrade of ['', 'h2c', 'SPDY/3', 'SPDY/3.10']) expect(requestedUpgrade(request({ upgrade }))).toBeUndefined();
});

test("the client's order decides", () => {
  const supported = new Set(['v4', 'v5']);
  expect(negotiate(['v9', 'v4', 'v5'], supported)).toBe('v4');
  expect(negotiate([], supported)).toBe('');
  expect(negotiate(['v9'], supported)).toBeUndefined();
  expect(listed(request({ x: 'a, b ,,c' }), 'x')).toEqual(['a', 'b', 'c']);
});

test('answers are HTTP', async () => {
  const accepted = new PassThrough();
  acceptSpdy(accepted, 'v4.channel.k8s.io');
  expect(String(accepted.read())).toBe(
    'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\n',
  );
  const refused = new PassThrough({ autoDestroy: false, emitClose: false });
  const said = text(refused).catch(() => '');
  const body = new Promise<string>((resolve) => refused.once('data', (chunk: Buffer) => resolve(chunk.toString())));
  refuse(refused, 404, 'no such stream', { 'X-More': '1' });
  expect(await body).toBe(
    'HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 15\r\nX-More: 1\r\n\r\nno such stream\n',
  );
  await said;
});
