import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { connectShim } from './connect.ts';
import { execAndWait } from './exec.ts';
import { encodeFrame, messageType } from './protocol.ts';
import { attachShim } from './shim.ts';
import type { ShimStatus } from './status.ts';
import { FakeShim } from './testing/fake-shim.ts';

let directory: string;
let fake: FakeShim;
let heard: ShimStatus[];
let ended: number;
const id = 'a'.repeat(64);
const never = new AbortController().signal;
const observer = { onStatus: (status: ShimStatus) => void heard.push(status), onClose: () => void (ended += 1) };

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'berth-shim-'));
  fake = new FakeShim(id, join(directory, 'state'));
  heard = [];
  ended = 0;
});

afterEach(async () => {
  fake.close();
  await rm(directory, { recursive: true });
});

const attach = () => attachShim({ id, stateDir: fake.stateDir }, observer, never);

test('follows a container from creation to exit', async () => {
  await fake.listen('creating');
  const shim = await attach();
  const created = shim.created(never);
  await fake.change('created', { state: 'created' });
  expect((await created).state).toBe('created');
  expect(await shim.start(never)).toEqual({ pid: 4242, startedAt: 1000n });
  await shim.reopenLog(never);
  await shim.kill(15, false, never);
  await expect.poll(() => ended).toBe(1);
  expect(heard.map(({ state }) => state)).toEqual(['creating', 'created', 'running', 'exited']);
  expect(shim.status).toMatchObject({ exitCode: 143, signal: 15, finishedAt: 2000n, user: { uid: 7, gid: 8, groups: [9] } });
});

test('an event that comes together with the reply is newer than the reply', async () => {
  const status = { state: 'creating', createdAt: '1' };
  await mkdir(fake.stateDir);
  const server = createServer((socket) => {
    socket.once('data', () => {
      socket.write(Buffer.concat([
        encodeFrame(messageType.HELLO, 0, { version: 1 }),
        encodeFrame(messageType.OK, 1, status),
        encodeFrame(messageType.EVENT, 1, { ...status, state: 'created', event: 'created' }),
      ]));
    });
    socket.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(join(fake.stateDir, 'shim.sock'), resolve));
  const shim = await attach();
  expect(shim.status.state).toBe('created');
  expect((await shim.created(never)).state).toBe('created');
  shim.detach();
  server.close();
});

test('waiting for creation ends with the connection and with the signal', async () => {
  await fake.listen('creating');
  const shim = await attach();
  await expect(shim.created(AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough');
  const created = shim.created(never);
  fake.close();
  await expect(created).rejects.toMatchObject({ code: 'SHIM_UNAVAILABLE' });
  await expect(shim.created(never)).rejects.toMatchObject({ code: 'SHIM_UNAVAILABLE' });
  expect(ended).toBe(1);
});

test('detached, the shim goes on and is heard no more', async () => {
  await fake.listen();
  (await attach()).detach();
  const again = await attach();
  expect(again.status.state).toBe('created');
  expect(ended).toBe(0);
  again.detach();
});

test('no shim, no status and a reply without a state are rejections that the observer does not hear of', async () => {
  await expect(attach()).rejects.toMatchObject({ code: 'SHIM_UNAVAILABLE' });
  await fake.listen('nonsense');
  await expect(attach()).rejects.toMatchObject({ code: 'SHIM_PROTOCOL' });
  expect(ended).toBe(0);
});

test('connects however long the path is, and not when cancelled', async () => {
  const deep = join(directory, 'd'.repeat(120));
  await mkdir(deep);
  await rm(fake.stateDir, { recursive: true, force: true });
  const short = join(directory, 's');
  const long = new FakeShim(id, short);
  await long.listen();
  await symlink(join(short, 'shim.sock'), join(deep, 'shim.sock'));
  (await connectShim(deep, id)).destroy();
  await expect(connectShim(short, id, AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough');
  long.close();
});

const run = (signal: AbortSignal, limit = 1000) => execAndWait({ id, stateDir: fake.stateDir }, ['echo', 'hi'], limit, signal);

test('exec gives the output and the exit code', async () => {
  await fake.listen('running');
  fake.onExec = (args, reply) => {
    reply(messageType.STDOUT, Buffer.from(args.join(' ')));
    reply(messageType.STDERR, Buffer.from('oh'));
    reply(messageType.EXIT, { exitCode: 3, signal: 0 });
  };
  expect(await run(never)).toEqual({ exitCode: 3, stdout: Buffer.from('echo hi'), stderr: Buffer.from('oh') });
});

test('exec keeps no more than the limit of each stream', async () => {
  await fake.listen('running');
  fake.onExec = (_, reply) => {
    for (let part = 0; part < 5; part++) reply(messageType.STDOUT, Buffer.alloc(30, part));
    reply(messageType.STDERR, Buffer.alloc(40, 9));
    reply(messageType.EXIT, { exitCode: 0, signal: 0 });
  };
  const result = await run(never, 40);
  expect(result.stdout).toEqual(Buffer.concat([Buffer.alloc(30, 0), Buffer.alloc(10, 1)]));
  expect(result.stderr).toHaveLength(40);
});

test('an aborted exec closes its connection, upon which the shim kills it', async () => {
  await fake.listen('running');
  const controller = new AbortController();
  const closed = Promise.withResolvers<void>();
  fake.onExec = (_, __, socket) => {
    socket.once('close', closed.resolve);
    controller.abort(new Error('enough'));
  };
  await expect(run(controller.signal)).rejects.toThrow('enough');
  await closed.promise;
});

test('exec fails when the shim dies or breaks the protocol', async () => {
  await fake.listen('running');
  fake.onExec = (_, __, socket) => socket.destroy();
  await expect(run(never)).rejects.toMatchObject({ code: 'SHIM_UNAVAILABLE' });
  fake.onExec = (_, reply) => reply(messageType.EXIT, {});
  await expect(run(never)).rejects.toMatchObject({ code: 'SHIM_UNAVAILABLE', message: expect.stringContaining('EXIT without exitCode') as string });
});

test('a file in place of a socket is no shim', async () => {
  await mkdir(fake.stateDir);
  await writeFile(join(fake.stateDir, 'shim.sock'), '');
  await expect(attach()).rejects.toMatchObject({ code: 'SHIM_UNAVAILABLE' });
});
