import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { version } from '../config/version.ts';
import { startCriServer, type CriServer } from '../cri-server/server.ts';
import { versionCommand } from './version.ts';

let directory: string;
let server: CriServer | undefined;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'berth-version-'));
  await writeFile(join(directory, 'config.toml'), `listen = "unix://${directory}/b.sock"\n`);
});

afterEach(async () => {
  await server?.close(0);
  server = undefined;
  await rm(directory, { recursive: true });
});

async function run(...flags: string[]): Promise<{ status: number; out: string }> {
  let out = '';
  const args = ['--config', join(directory, 'config.toml'), ...flags];
  const status = await versionCommand.run(args, { write: (text) => void (out += text), complain: () => undefined });
  return { status, out };
}

test('a daemon that answers is shown', async () => {
  const reply = { version: '0.1.0', runtime_name: 'berth', runtime_version: '9.8.7', runtime_api_version: 'v1' };
  server = await startCriServer({
    listen: `unix://${directory}/b.sock`,
    handlers: { Version: async () => reply },
    log: pino({ level: 'silent' }),
    metrics: new Registry(),
  });
  const { out } = await run();
  expect(out).toBe(`berth   ${version}\nberthd  9.8.7 (CRI v1) on unix://${directory}/b.sock\n`);
  expect(JSON.parse((await run('--json')).out)).toMatchObject({ client: { version }, server: { version: reply } });
});

test('one that does not is named with the reason', async () => {
  const { status, out } = await run();
  expect(status).toBe(0);
  expect(out).toContain(`berthd  does not answer on unix://${directory}/b.sock: `);
  expect(out).toContain('ENOENT');
});
