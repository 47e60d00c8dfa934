import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer, text } from 'node:stream/consumers';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { encodeFrame, FrameDecoder, maxDataBytes, messageType, parseControl } from './protocol.ts';
import type { Frame, MessageType } from './protocol.ts';
import { openAttach, openExec } from './session.ts';
import type { ProcessSession } from './session.ts';

let directory: string;
let server: Server;
let shim: Socket | undefined;
let frames: Frame[];
/** Answers a request; by default with OK. */
let onRequest: (frame: Frame) => void;
const id = 'b'.repeat(64);
const never = new AbortController().signal;

const send = (type: MessageType, payload: object): boolean => shim?.write(encodeFrame(type, 1, payload)) ?? false;
const received = (type: MessageType): Buffer[] => frames.filter((frame) => frame.type === type).map(({ payload }) => Buffer.from(payload));

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'berth-session-'));
  await mkdir(join(directory, 'state'));
  frames = [];
  onRequest = () => void send(messageType.OK, { pid: 4 });
  server = createServer((socket) => {
    const decoder = new FrameDecoder();
    shim = socket;
    socket.on('error', () => undefined);
    socket.write(encodeFrame(messageType.HELLO, 0, { version: 1 }));
    socket.on('data', (chunk: Buffer) => {
      for (const frame of decoder.push(chunk)) {
        if (frame.type === messageType.HELLO) continue;
        frames.push(frame);
        if (frame.type === messageType.EXEC || frame.type === messageType.ATTACH) onRequest(frame);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(join(directory, 'state', 'shim.sock'), resolve));
});

afterEach(async () => {
  shim?.destroy();
  server.close();
  await rm(directory, { recursive: true });
});

const target = () => ({ id, stateDir: join(directory, 'state') });
const exec = (stdin = true, terminal = false): Promise<ProcessSession> => openExec(target(), { args: ['a', 'b'], terminal, stdin, columns: 80, rows: 99_999 }, never);

test('a command\'s streams and exit code', async () => {
  const session = await exec();
  expect(parseControl(frames[0] as Frame)).toEqual({ args: ['a', 'b'], terminal: false, stdin: true, columns: 80, rows: 65_535 });
  session.stdin.end('typed');
  await expect.poll(() => received(messageType.STDIN).map(String)).toEqual(['typed', '']);
  send(messageType.STDOUT, Buffer.from('out'));
  send(messageType.STDERR, Buffer.from('err'));
  send(messageType.STDOUT, Buffer.alloc(0));
  send(messageType.STDERR, Buffer.alloc(0));
  send(messageType.EXIT, { exitCode: 137, signal: 9 });
  expect(await Promise.all([text(session.stdout), text(session.stderr), session.exited])).toEqual(['out', 'err', { exitCode: 137, signal: 9 }]);
  // What comes late is nobody's, and no error.
  session.resize(1, 1);
  session.close();
});

test('output that came with the reply is not lost', async () => {
  onRequest = () => {
    shim?.write(Buffer.concat([
      encodeFrame(messageType.OK, 1, { pid: 4 }), encodeFrame(messageType.STDOUT, 1, Buffer.from('early')),
      encodeFrame(messageType.STDOUT, 1, Buffer.alloc(0)), encodeFrame(messageType.STDERR, 1, Buffer.alloc(0)),
      encodeFrame(messageType.EXIT, 1, { exitCode: 0, signal: 0 }),
    ]));
  };
  const session = await exec();
  expect(await text(session.stdout)).toBe('early');
  expect(await session.exited).toEqual({ exitCode: 0, signal: 0 });
});

test('a refusal is a rejection, and ends the connection', async () => {
  onRequest = () => void send(messageType.ERROR, { step: 'command', path: 'a', errno: 2, errnoName: 'ENOENT', message: 'none' });
  await expect(exec()).rejects.toMatchObject({ name: 'NativeFailure', detail: { step: 'command' } });
  await expect.poll(() => shim?.destroyed).toBe(true);
});

test('an abort before the reply ends the connection', async () => {
  const controller = new AbortController();
  onRequest = () => controller.abort(new Error('enough'));
  await expect(openExec(target(), { args: ['a'], terminal: false, stdin: false }, controller.signal)).rejects.toThrow('enough');
  await expect.poll(() => shim?.destroyed).toBe(true);
});

test('an output that ends while nobody reads it does not keep the rest from coming', async () => {
  const session = await exec(false);
  const bytes = 2 * maxDataBytes;
  shim?.write(Buffer.concat([
    encodeFrame(messageType.STDOUT, 1, Buffer.alloc(maxDataBytes)), encodeFrame(messageType.STDOUT, 1, Buffer.alloc(maxDataBytes)),
    encodeFrame(messageType.STDOUT, 1, Buffer.alloc(0)),
  ]));
  await expect.poll(() => session.stdout.readableLength).toBe(bytes);
  expect((await buffer(session.stdout)).length).toBe(bytes);
  send(messageType.STDERR, Buffer.from('still here'));
  send(messageType.STDERR, Buffer.alloc(0));
  send(messageType.EXIT, { exitCode: 0, signal: 0 });
  expect(await Promise.all([text(session.stderr), session.exited])).toEqual(['still here', { exitCode: 0, signal: 0 }]);
});

test('who does not read holds up the shim, with a bounded amount in between, and loses nothing', async () => {
  const session = await exec(false);
  const block = Buffer.alloc(maxDataBytes, 7);
  let sent = 0;
  // Until the socket stays full.
  for (let idle = 0; idle < 200; idle += 1) {
    if (shim?.writableNeedDrain === true) {
      await turn();
      continue;
    }
    idle = 0;
    send(messageType.STDOUT, block);
    sent += 1;
  }
  expect(session.stdout.readableLength).toBeLessThanOrEqual(6 * maxDataBytes);
  send(messageType.STDERR, Buffer.from('last'));
  send(messageType.EXIT, { exitCode: 0, signal: 0 });
  const [out, errors] = await Promise.all([buffer(session.stdout), text(session.stderr)]);
  expect(out.length).toBe(sent * maxDataBytes);
  expect(errors).toBe('last');
});

test('a destroyed output discards, and holds up nobody', async () => {
  const session = await exec(false);
  session.stdout.destroy();
  for (let part = 0; part < 40; part += 1) send(messageType.STDOUT, Buffer.alloc(maxDataBytes));
  send(messageType.STDERR, Buffer.from('heard'));
  send(messageType.EXIT, { exitCode: 5, signal: 0 });
  expect(await text(session.stderr)).toBe('heard');
  expect((await session.exited).exitCode).toBe(5);
});

test('a shim that does not read holds up the writer; what is written arrives whole, in frames', async () => {
  const session = await exec();
  shim?.pause();
  const all = Buffer.alloc(3 << 20, 'abcdefg');
  const taken = new Promise<void>((resolve, reject) => session.stdin.write(all, (error) => (error ? reject(error) : resolve())));
  for (let wait = 0; wait < 50; wait += 1) await turn();
  expect(await Promise.race([taken.then(() => 'taken'), turn('waiting')])).toBe('waiting');
  shim?.resume();
  await taken;
  session.stdin.end();
  await expect.poll(() => received(messageType.STDIN).at(-1)?.length).toBe(0);
  const parts = received(messageType.STDIN);
  expect(parts.every(({ length }) => length <= maxDataBytes)).toBe(true);
  expect(Buffer.concat(parts).equals(all)).toBe(true);
});

test('a lost connection ends the outputs, releases the writer, and is told by `exited`', async () => {
  const session = await exec();
  shim?.pause();
  const taken = new Promise<void>((resolve, reject) => session.stdin.write(Buffer.alloc(8 << 20), (error) => (error ? reject(error) : resolve())));
  shim?.destroy();
  await expect(session.exited).rejects.toMatchObject({ code: 'SHIM_UNAVAILABLE' });
  await taken;
  expect(await Promise.all([text(session.stdout), text(session.stderr)])).toEqual(['', '']);
});

test('closing ends the connection, upon which the shim kills the command', async () => {
  const session = await exec();
  session.close();
  await expect(session.exited).rejects.toMatchObject({ code: 'SHIM_UNAVAILABLE' });
  await expect.poll(() => shim?.destroyed).toBe(true);
});

test('without stdin nothing of it is sent', async () => {
  const session = await exec(false);
  session.stdin.end('nobody reads this');
  session.resize(20, 10);
  await expect.poll(() => received(messageType.RESIZE).map(String)).toEqual(['{"columns":20,"rows":10}']);
  expect(received(messageType.STDIN)).toEqual([]);
});

test('an attach has the streams it asked for; the others have ended', async () => {
  const session = await openAttach(target(), { stdin: true, stdout: true, stderr: false }, never);
  expect(parseControl(frames[0] as Frame)).toEqual({ stdin: true, stdout: true, stderr: false });
  expect(await text(session.stderr)).toBe('');
  send(messageType.STDOUT, Buffer.from('seen'));
  send(messageType.EXIT, { exitCode: 0, signal: 0 });
  expect(await text(session.stdout)).toBe('seen');
});
