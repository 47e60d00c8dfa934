import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openForwarder } from './forward.ts';
import type { Forwarder } from './forward.ts';

let directory: string;
let server: Server;
let session: Socket | undefined;
let links: Socket[];
/** The errno for a port; undefined: no answer at all. */
let answer: (port: number) => number | undefined;
const never = new AbortController().signal;

/** Stands in for the native forwarder, with a program on every port that returns what it gets. */
function serve(socket: Socket): void {
  socket.on('error', () => undefined);
  if (session === undefined) {
    session = socket.resume();
    return;
  }
  links.push(socket);
  socket.once('data', (chunk: Buffer) => {
    const code = answer(chunk.readUInt16BE());
    if (code === undefined) return void socket.end();
    const word = Buffer.alloc(4);
    word.writeUInt32BE(code);
    // In two pieces, the second with the program's first words.
    socket.write(word.subarray(0, 1));
    setImmediate(() => {
      socket.write(Buffer.concat([word.subarray(1), Buffer.from(code === 0 ? 'hello ' : '')]));
      if (code === 0) socket.pipe(socket);
      else socket.end();
    });
  });
}

const launcher = {
  forward: async ({ socket }: { socket: string }) => {
    await new Promise<void>((resolve) => server.listen(socket, resolve));
    return { pid: 1 };
  },
};

let forwarder: Forwarder;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'berth-forward-'));
  session = undefined;
  links = [];
  answer = () => 0;
  server = createServer({ allowHalfOpen: true }, serve);
  forwarder = await openForwarder(launcher, { name: 'sandbox x', netns: '/n', socket: join(directory, 's') }, never);
});

afterEach(async () => {
  forwarder.close();
  for (const socket of links) socket.destroy();
  session?.destroy();
  server.close();
  await rm(directory, { recursive: true });
});

test('bytes go both ways, each half closes by itself', async () => {
  const socket = await forwarder.connect(80, never);
  socket.end('world');
  expect(String(await buffer(socket))).toBe('hello world');
});

test('a port where nobody listens, and other failures, by name', async () => {
  answer = (port) => (port === 81 ? 111 : 110);
  await expect(forwarder.connect(81, never)).rejects.toMatchObject({ code: 'FORWARD_REFUSED', message: expect.stringMatching(/sandbox x.*81.*ECONNREFUSED/) as string });
  await expect(forwarder.connect(82, never)).rejects.toMatchObject({ code: 'FORWARD_FAILED', message: expect.stringContaining('ETIMEDOUT') as string });
  answer = () => undefined;
  await expect(forwarder.connect(83, never)).rejects.toMatchObject({ code: 'FORWARD_FAILED' });
  await expect(forwarder.connect(0, never)).rejects.toMatchObject({ code: 'FORWARD_FAILED' });
  expect(links.length).toBe(3);
});

test('an abort while connecting lets go of the connection', async () => {
  const controller = new AbortController();
  answer = () => {
    controller.abort(new Error('enough'));
    return 0;
  };
  await expect(forwarder.connect(80, controller.signal)).rejects.toThrow('enough');
  await expect.poll(() => links[0]?.destroyed).toBe(true);
});

test('closing ends the session and every connection, and removes the socket', async () => {
  const socket = await forwarder.connect(80, never);
  forwarder.close();
  await forwarder.closed;
  expect(socket.destroyed).toBe(true);
  expect(await readdir(directory)).toEqual([]);
  await expect(forwarder.connect(80, never)).rejects.toMatchObject({ code: 'FORWARD_FAILED' });
});

test('a forwarder that dies ends its connections', async () => {
  const socket = await forwarder.connect(80, never);
  session?.destroy();
  await forwarder.closed;
  expect(socket.destroyed).toBe(true);
});
