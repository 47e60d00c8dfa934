/**
 * What goes through a shim and a forwarder comes out the same, with little memory in between, without the
 * streaming server. BERTH_STREAM_BYTES=1073741824 makes it a long run.
 */

import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { nativePrograms } from '../../src/config/programs.ts';
import { openForwarder } from '../../src/shim/forward.ts';
import { startLauncher } from '../../src/shim/launcher.ts';
import { openAttach, openExec } from '../../src/shim/session.ts';
import type { ShimTarget } from '../../src/shim/session.ts';
import { busybox } from '../harness/images.ts';
import type { Pod } from '../harness/kubelet.ts';
import { useStage } from '../harness/stage.ts';

const bytes = Number(process.env['BERTH_STREAM_BYTES'] ?? String(192 << 20));
/** For what is not garbage yet; a transfer that were kept whole would be above it. */
const memoryRoom = 96 << 20;
const never = new AbortController().signal;
const stage = useStage({ images: { busybox } });
const limits = { timeout: 120_000 + bytes / 2000 };

async function running(options: object = {}): Promise<{ pod: Pod; target: ShimTarget }> {
  const pod = await stage.kubelet.runPod();
  const id = await stage.kubelet.run(pod, { image: stage.ref('busybox'), command: ['sleep', '100000'], ...options });
  return { pod, target: { id, stateDir: path.join(stage.daemon.state, 'shims', id) } };
}

/** Writes `size` bytes, no two blocks alike, as fast as they are taken; resolves with their digest. */
async function send(to: Writable, size: number): Promise<string> {
  const hash = createHash('sha256');
  const block = Buffer.alloc(1 << 18, 'the quick brown fox ');
  for (let sent = 0; sent < size; sent += block.length) {
    block.writeDoubleBE(sent, 0);
    const part = Buffer.from(block.subarray(0, Math.min(block.length, size - sent)));
    hash.update(part);
    if (!to.write(part)) await new Promise((resolve) => to.once('drain', resolve));
  }
  to.end();
  return hash.digest('hex');
}

async function receive(from: Readable, pauseAt = -1): Promise<{ digest: string; size: number }> {
  const hash = createHash('sha256');
  let size = 0;
  let paused = false;
  for await (const chunk of from) {
    hash.update(chunk as Buffer);
    size += (chunk as Buffer).length;
    if (paused || pauseAt < 0 || size < pauseAt) continue;
    paused = true;
    await sleep(10_000);
  }
  return { digest: hash.digest('hex'), size };
}

/** Runs `transfer` and checks that this process has not come to hold much of it. */
async function inLittleMemory(transfer: () => Promise<void>): Promise<void> {
  let most = 0;
  const before = process.memoryUsage().rss;
  const watch = setInterval(() => (most = Math.max(most, process.memoryUsage().rss - before)), 50);
  const began = performance.now();
  await transfer();
  clearInterval(watch);
  const took = (performance.now() - began) / 1000;
  process.stdout.write(`${bytes >> 20} MiB in ${took.toFixed(1)} s, ${(bytes / took / 1e6).toFixed(0)} MB/s; memory +${(most / 2 ** 20).toFixed(1)} MiB\n`);
  expect(most).toBeLessThan(memoryRoom);
}

test('through an exec\'s input and output, also past a reader that pauses', limits, async () => {
  const { pod, target } = await running();
  await inLittleMemory(async () => {
    const cat = await openExec(target, { args: ['cat'], terminal: false, stdin: true }, never);
    const [sent, received] = await Promise.all([send(cat.stdin, bytes), receive(cat.stdout, bytes / 2)]);
    expect(received).toEqual({ digest: sent, size: bytes });
    expect(await cat.exited).toEqual({ exitCode: 0, signal: 0 });
  });
  await stage.kubelet.removePod(pod);
});

test('from a container\'s own output to all who are attached', async () => {
  const { pod, target } = await running({ command: ['sh', '-c', 'read go; seq 1 200000; read stop; exit 4'], stdin: true });
  const clients = await Promise.all(Array.from({ length: 3 }, () => openAttach(target, { stdin: true, stdout: true, stderr: false }, never)));
  const received = Promise.all(clients.map((client) => receive(client.stdout)));
  clients[0]?.stdin.write('go\n');
  clients[1]?.stdin.write('stop\n');
  const results = await received;
  expect(results.map(({ digest }) => digest)).toEqual(results.map(() => createHash('sha256').update(Array.from({ length: 200_000 }, (_, at) => `${at + 1}\n`).join('')).digest('hex')));
  expect(await Promise.all(clients.map((client) => client.exited))).toEqual(clients.map(() => ({ exitCode: 4, signal: 0 })));
  await stage.kubelet.removePod(pod);
});

test('through fifty connections of one forwarder, also past one that pauses', limits, async () => {
  const launcher = startLauncher({ program: nativePrograms(new URL('../../src/main.ts', import.meta.url).href).shim, log: pino({ level: 'silent' }) });
  const echo = createServer({ allowHalfOpen: true }, (socket) => void socket.on('error', () => undefined).pipe(socket));
  await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', 200, resolve));
  const { port } = echo.address() as AddressInfo;
  const directory = await stage.directory('forwarders');
  // As for a pod in the host's network, which here is the world's own.
  const forwarder = await openForwarder(launcher, { name: 'the pod', netns: '', socket: path.join(directory, 's') }, never);
  const each = Math.floor(bytes / 50);
  await inLittleMemory(async () => {
    await Promise.all(Array.from({ length: 50 }, async (_, number) => {
      const link = await forwarder.connect(port, never);
      const [sent, received] = await Promise.all([send(link, each), receive(link, number === 7 ? each / 2 : -1)]);
      expect(received).toEqual({ digest: sent, size: each });
    }));
  });
  forwarder.close();
  await forwarder.closed;
  expect(await readdir(directory)).toEqual([]);
  echo.close();
  launcher.close();
});
