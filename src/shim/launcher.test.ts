import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startLauncher } from './launcher.ts';
import type { Launcher, SandboxSpec } from './launcher.ts';

let directory: string;
let launcher: Launcher;
const log = pino({ level: 'silent' });
const signal = new AbortController().signal;

// Speaks the protocol on descriptor 3; dies on the id "die", refuses the id "bad", writes down its starts.
const program = (folder: string) => `#!${process.execPath}
const { appendFileSync } = require('node:fs');
const { Socket } = require('node:net');
appendFileSync(${JSON.stringify(join(folder, 'starts'))}, process.argv[2] + '\\n');
const socket = new Socket({ fd: 3 });
const send = (type, id, value) => {
  const body = Buffer.from(JSON.stringify(value));
  const head = Buffer.alloc(9);
  head.writeUInt32BE(body.length, 0);
  head.writeUInt32BE(id, 4);
  head.writeUInt8(type, 8);
  socket.write(Buffer.concat([head, body]));
};
send(1, 0, { version: 1, program: 'launcher', pid: process.pid });
let bytes = Buffer.alloc(0);
socket.on('data', (chunk) => {
  bytes = Buffer.concat([bytes, chunk]);
  while (bytes.length >= 9 && bytes.length >= 9 + bytes.readUInt32BE(0)) {
    const length = bytes.readUInt32BE(0);
    const type = bytes.readUInt8(8);
    const value = JSON.parse(bytes.subarray(9, 9 + length).toString());
    const id = bytes.readUInt32BE(4);
    bytes = bytes.subarray(9 + length);
    if (value.id === 'die') process.exit(1);
    else if (value.id === 'bad') send(3, id, { step: 'sysctl', path: 'net.x', errno: 2, errnoName: 'ENOENT', message: 'none' });
    else if (type === 16) send(2, id, { reaperPid: 77 });
    else if (type === 18) send(2, id, { pid: 78 });
    else if (type === 17) send(2, id, {});
    else if (type === 20) send(2, id, { pid: 79 });
  }
});
socket.on('end', () => process.exit(0));
`;

const spec = (id: string): SandboxSpec => ({
  id, net: '', ipc: '', uts: '', pid: '', user: '', shm: '', idMaps: null, hostname: '', sysctls: {}, shmSize: 0, cgroup: '',
});

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'berth-launcher-'));
  await writeFile(join(directory, 'program'), program(directory));
  await chmod(join(directory, 'program'), 0o755);
  launcher = startLauncher({ program: join(directory, 'program'), log });
});

afterEach(async () => {
  launcher.close();
  await rm(directory, { recursive: true });
});

async function starts(): Promise<string[]> {
  return (await readFile(join(directory, 'starts'), 'utf8')).trim().split('\n');
}

test('creates and deletes', async () => {
  expect(await launcher.createSandbox(spec('a'), signal)).toEqual({ reaperPid: 77 });
  expect(await launcher.createContainer({ id: 'c', bundle: '/b', stateDir: '/s' }, signal)).toEqual({ shimPid: 78 });
  expect(await launcher.hold('h', signal)).toEqual({ pid: 79 });
  await launcher.deleteSandbox('a', spec('a'), signal);
  expect(await starts()).toEqual(['launcher']);
});

test('a refusal is a NativeFailure', async () => {
  await expect(launcher.createSandbox(spec('bad'), signal)).rejects.toMatchObject({ name: 'NativeFailure', detail: { step: 'sysctl' } });
});

test('when it dies the calls in flight fail, and the next one starts another', async () => {
  await expect(launcher.createSandbox(spec('die'), signal)).rejects.toMatchObject({ code: 'LAUNCHER_UNAVAILABLE' });
  expect(await launcher.createSandbox(spec('a'), signal)).toEqual({ reaperPid: 77 });
  expect(await starts()).toEqual(['launcher', 'launcher']);
});

test('a program that is not there is LAUNCHER_UNAVAILABLE, at every call', async () => {
  await launcher.createSandbox(spec('a'), signal);
  const lost = startLauncher({ program: join(directory, 'missing'), log });
  for (let call = 0; call < 2; call++) {
    await expect(lost.createSandbox(spec('a'), AbortSignal.timeout(20_000))).rejects.toMatchObject({ code: 'LAUNCHER_UNAVAILABLE' });
  }
  lost.close();
});

test('after close nothing is started', async () => {
  await launcher.createSandbox(spec('a'), signal);
  launcher.close();
  await expect(launcher.createSandbox(spec('b'), signal)).rejects.toMatchObject({ code: 'LAUNCHER_UNAVAILABLE' });
});
