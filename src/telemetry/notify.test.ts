import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createNotifier, type Notifier } from './notify.ts';

let directory: string;
let warnings: string[];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'berth-notify-'));
  warnings = [];
  // Stands in for berth-notify: writes down what it was told.
  await writeFile(join(directory, 'helper'), `#!/bin/sh\nprintf '%s|' "$NOTIFY_SOCKET" "$@" >>${directory}/told\necho >>${directory}/told\n`);
  await chmod(join(directory, 'helper'), 0o755);
});

afterEach(async () => {
  await rm(directory, { recursive: true });
});

function notifier(environment: Record<string, string>, helper = 'helper'): Notifier {
  const log = pino({ level: 'warn' }, { write: (line) => void warnings.push(line) });
  return createNotifier({ environment, helper: join(directory, helper), log });
}

async function told(): Promise<string[]> {
  const text = await readFile(join(directory, 'told'), 'utf8').catch(() => '');
  return text.split('\n').filter((line) => line !== '');
}

test('ready and stopping reach the helper with the socket', async () => {
  const subject = notifier({ NOTIFY_SOCKET: '/run/n' });
  await subject.ready('serving\non a socket');
  await subject.stopping();
  expect(await told()).toEqual(['/run/n|READY=1|STATUS=serving on a socket|', '/run/n|STOPPING=1|STATUS=stopping|']);
});

test('without a service manager nothing runs', async () => {
  const subject = notifier({ WATCHDOG_USEC: '2000' });
  await subject.ready('x');
  await subject.stopping();
  expect(await told()).toEqual([]);
});

test('a helper that is not there is a warning, not a failure', async () => {
  await notifier({ NOTIFY_SOCKET: '/run/n' }, 'missing').ready('x');
  expect(warnings).toHaveLength(1);
});

test('pings the watchdog once ready, until stopping', async () => {
  const subject = notifier({ NOTIFY_SOCKET: '/run/n', WATCHDOG_USEC: '20000', WATCHDOG_PID: String(process.pid) });
  await subject.ready('x');
  await expect.poll(told).toContain('/run/n|WATCHDOG=1|');
  await subject.stopping();
});

test("another process's watchdog is left alone", async () => {
  const subject = notifier({ NOTIFY_SOCKET: '/run/n', WATCHDOG_USEC: '1', WATCHDOG_PID: '1' });
  await subject.ready('x');
  await subject.stopping();
  expect(await told()).toHaveLength(2);
});
