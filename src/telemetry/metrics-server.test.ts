import { pino } from 'pino';
import { afterEach, expect, test } from 'vitest';
import { createMetrics } from './metrics.ts';
import { startMetricsServer, type MetricsServer } from './metrics-server.ts';

let server: MetricsServer | undefined;
let problem: string | undefined;

afterEach(async () => {
  await server?.close();
  server = undefined;
});

async function start(address = '127.0.0.1:0'): Promise<string> {
  const log = pino({ level: 'silent' });
  server = await startMetricsServer({ address, registry: createMetrics(), problem: () => problem, log });
  return `http://${server?.address}`;
}

test('offers the registry', async () => {
  const response = await fetch(`${await start()}/metrics`);
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toMatch(/^text\/plain; version=/);
  expect(await response.text()).toContain('process_open_fds');
});

test('/healthz says what is wrong', async () => {
  const url = `${await start()}/healthz`;
  expect((await fetch(url)).status).toBe(200);
  problem = 'launcher lost';
  const response = await fetch(url);
  expect(response.status).toBe(503);
  expect(await response.text()).toBe('launcher lost\n');
  problem = undefined;
});

test('nothing else is there', async () => {
  const url = await start();
  expect((await fetch(`${url}/secrets`)).status).toBe(404);
  expect((await fetch(`${url}/metrics`, { method: 'POST' })).status).toBe(405);
});

test('works on IPv6', async () => {
  expect((await fetch(`${await start('[::1]:0')}/healthz`)).status).toBe(200);
});

test('an empty address means none', async () => {
  await start('');
  expect(server).toBeUndefined();
});

test.each(['nonsense', '127.0.0.1', '127.0.0.1:99999', 'a:b:1'])('%s is refused', async (address) => {
  await expect(start(address)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
});

test('an address in use is refused with the address in the message', async () => {
  const url = await start();
  const first = server;
  await expect(start(url.slice('http://'.length))).rejects.toMatchObject({ code: 'HOST_UNSUITABLE' });
  server = first;
});
