import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { busybox } from '../harness/images.ts';
import type { Pod } from '../harness/kubelet.ts';
import { expectCode, useStage } from '../harness/stage.ts';
import { overSpdy, overWebSocket } from '../harness/streaming/remote-process.ts';
import type { RemoteProcess, Wanted } from '../harness/streaming/remote-process.ts';
import { memoryGrowth, receive, send } from '../harness/streaming/traffic.ts';
import { upgrade } from '../harness/streaming/upgrade.ts';
import { eventually } from '../harness/wait.ts';

const stage = useStage({ images: { busybox } });

/** Each way to come, and what half-closing the standard input takes there. */
const transports: [string, (url: string, wanted: Wanted) => Promise<RemoteProcess>, { closesStdin: boolean }][] = [
  ['SPDY, as Kubernetes speaks it', (url, wanted) => overSpdy(url, wanted), { closesStdin: true }],
  ['SPDY with windows', (url, wanted) => overSpdy(url, wanted, { window: 20_000 }), { closesStdin: true }],
  ['WebSocket, version 5', (url, wanted) => overWebSocket(url, wanted), { closesStdin: true }],
  ['WebSocket, version 4', (url, wanted) => overWebSocket(url, wanted, 'v4.channel.k8s.io'), { closesStdin: false }],
  ['WebSocket, version 4 in base64', (url, wanted) => overWebSocket(url, wanted, 'v4.base64.channel.k8s.io'), { closesStdin: false }],
];

async function running(command = ['sleep', '1000']): Promise<{ pod: Pod; id: string }> {
  const pod = await stage.kubelet.runPod();
  return { pod, id: await stage.kubelet.run(pod, { image: stage.ref('busybox'), command }) };
}

async function execUrl(id: string, cmd: string[], wanted: Wanted): Promise<string> {
  const { stdin = false, stdout = true, stderr = false, tty = false } = wanted;
  return (await stage.cri.call('Exec', { container_id: id, cmd, tty, stdin, stdout, stderr })).url;
}

const failure = (code: number): unknown => ({
  metadata: {}, status: 'Failure', reason: 'NonZeroExitCode', message: `command terminated with non-zero exit code: ${code}`,
  details: { causes: [{ reason: 'ExitCode', message: String(code) }] },
});

test.each(transports)('output, errors and exit code come back exactly: %s', async (_name, connect) => {
  const { pod, id } = await running();
  const wanted = { stderr: true };
  const one = await connect(await execUrl(id, ['sh', '-c', 'printf out; printf err >&2; exit 200'], wanted), wanted);
  expect(await Promise.all([text(one.stdout), text(one.stderr), one.status.then((said) => JSON.parse(said) as unknown)])).toEqual(['out', 'err', failure(200)]);
  const two = await connect(await execUrl(id, ['true'], wanted), wanted);
  expect(await Promise.all([text(two.stdout), text(two.stderr), two.status])).toEqual(['', '', '{"metadata":{},"status":"Success"}']);
  const three = await connect(await execUrl(id, ['/no/such/program'], wanted), wanted);
  expect(JSON.parse(await three.status)).toMatchObject({ status: 'Failure', reason: 'InternalError', message: expect.stringMatching(/\/no\/such\/program/) });
  await Promise.all([one.closed, two.closed, three.closed]);
  await stage.kubelet.removePod(pod);
});

test.each(transports)('what goes in comes out, whole, and costs little memory, also when the client pauses: %s', async (_name, connect, { closesStdin }) => {
  const { pod, id } = await running();
  const wanted = { stdin: true };
  const bytes = 48 << 20;
  // Where the input cannot be closed, a command that knows where it ends.
  const process = await connect(await execUrl(id, closesStdin ? ['cat'] : ['head', '-c', String(bytes)], wanted), wanted);
  const growth = await memoryGrowth(stage.daemon.pid, async () => {
    let paused = false;
    const received = receive(process.stdout, undefined, (total) => {
      if (paused || total < bytes / 2) return;
      paused = true;
      process.setPaused(true);
      setTimeout(() => process.setPaused(false), 1000);
    });
    const sent = await send(process.stdin, bytes, { end: closesStdin });
    expect(await received).toEqual(sent);
    expect(paused).toBe(true);
  });
  expect(JSON.parse(await process.status)).toMatchObject({ status: 'Success' });
  await process.closed;
  expect(growth).toBeLessThan(32 << 20);
  await stage.kubelet.removePod(pod);
});

test('a client that keeps windows is never sent more than it allows', async () => {
  const { pod, id } = await running();
  const { socket } = await upgrade(await execUrl(id, ['head', '-c', '3000000', '/dev/zero'], {}), ['v4.channel.k8s.io']);
  const { SpdyConnection } = await import('../harness/streaming/spdy-connection.ts');
  const connection = new SpdyConnection(socket, { window: 10_000 });
  await connection.open({ streamtype: 'error' }).then((error) => error.resume());
  const stdout = await connection.open({ streamtype: 'stdout' });
  expect((await receive(stdout)).bytes).toBe(3_000_000);
  expect(connection.overrun).toBeLessThanOrEqual(0);
  socket.destroy();
  await stage.kubelet.removePod(pod);
});

test.each([
  ['v4.channel.k8s.io', JSON.stringify(failure(3))],
  ['v3.channel.k8s.io', 'command terminated with non-zero exit code: 3'],
  ['v2.channel.k8s.io', 'command terminated with non-zero exit code: 3'],
  ['channel.k8s.io', 'command terminated with non-zero exit code: 3'],
  ['', 'command terminated with non-zero exit code: 3'],
])('the SPDY protocol "%s" is spoken', async (protocol, status) => {
  const { pod, id } = await running();
  const process = await overSpdy(await execUrl(id, ['sh', '-c', 'cat; exit 3'], { stdin: true }), { stdin: true }, { protocols: protocol === '' ? [] : [protocol] });
  expect(process.protocol).toBe(protocol);
  process.stdin.end('words');
  const sortKeys = (said: string): unknown => (said.startsWith('{') ? JSON.parse(said) : said);
  expect(await Promise.all([text(process.stdout), process.status.then(sortKeys)])).toEqual(['words', sortKeys(status)]);
  await process.closed;
  await stage.kubelet.removePod(pod);
});

test.each(['v5.channel.k8s.io', 'v4.channel.k8s.io', 'v4.base64.channel.k8s.io', 'channel.k8s.io', 'base64.channel.k8s.io', ''])(
  'the WebSocket protocol "%s" is spoken', async (protocol) => {
    const { pod, id } = await running();
    const process = await overWebSocket(await execUrl(id, ['sh', '-c', 'head -n 1; exit 3'], { stdin: true }), { stdin: true }, protocol);
    expect(process.protocol).toBe(protocol);
    process.stdin.write('words\n');
    const [out, status] = await Promise.all([text(process.stdout), process.status]);
    expect(out).toBe('words\n');
    if (/^v[45]/.test(protocol)) expect(JSON.parse(status)).toEqual(failure(3));
    else expect(status).toBe('command terminated with non-zero exit code: 3');
    await process.closed;
    await stage.kubelet.removePod(pod);
  });

test.each(transports)('a terminal has one output, a size that follows, and passes Ctrl-C on: %s', async (_name, connect) => {
  const { pod, id } = await running();
  const wanted = { stdin: true, tty: true };
  const script = 'trap "echo interrupted" INT; read line; stty size; echo error >&2; while :; do sleep 1; done';
  const process = await connect(await execUrl(id, ['sh', '-c', script], wanted), wanted);
  let seen = '';
  process.stdout.on('data', (chunk: Buffer) => {
    seen += chunk.toString();
  });
  process.resize(100, 40);
  // The size has no answer: what is typed after it comes after it.
  process.stdin.write('go\n');
  await eventually('size and error are shown', async () => (/go\r\n40 100\r\nerror\r\n/.test(seen) ? seen : undefined));
  process.stdin.write('\x03');
  await eventually('the signal came', async () => (seen.includes('interrupted') ? seen : undefined));
  process.kill();
  await process.closed;
  await stage.kubelet.removePod(pod);
});

test('a URL is good once, for what it was given for, and for an upgrade alone', async () => {
  const { pod, id } = await running();
  const url = await execUrl(id, ['true'], {});
  expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/exec\/[\w-]{43}$/);
  expect((await fetch(url)).status).toBe(400);
  await expect(upgrade(url.replace('/exec/', '/attach/'), ['v4.channel.k8s.io'])).rejects.toMatchObject({ status: 404 });
  await expect(upgrade(url, ['v9.channel.k8s.io'])).rejects.toMatchObject({
    status: 403, headers: { 'x-accepted-stream-protocol-versions': 'v4.channel.k8s.io, v3.channel.k8s.io, v2.channel.k8s.io, channel.k8s.io' },
  });
  await expect(overWebSocket(url, {}, 'v9.channel.k8s.io')).rejects.toThrow(/403/);
  const process = await overSpdy(url, {});
  await process.status;
  await process.closed;
  await expect(upgrade(url, ['v4.channel.k8s.io'])).rejects.toMatchObject({ status: 404 });
  expect((await fetch(url)).status).toBe(404);
  await stage.kubelet.removePod(pod);
});

test('requests that make no sense are refused by the field', async () => {
  const { cri, kubelet } = stage;
  const { pod, id } = await running();
  const request = { container_id: id, cmd: ['true'], tty: false, stdin: false, stdout: true, stderr: true };
  await expectCode(cri.call('Exec', { ...request, tty: true }), 'INVALID_ARGUMENT', /stderr/);
  await expectCode(cri.call('Exec', { ...request, stdout: false, stderr: false }), 'INVALID_ARGUMENT', /stdin/);
  await expectCode(cri.call('Exec', { ...request, cmd: [] }), 'INVALID_ARGUMENT', /cmd/);
  await expectCode(cri.call('Exec', { ...request, container_id: 'f'.repeat(64) }), 'NOT_FOUND');
  await expectCode(cri.call('Attach', { ...request, tty: true, stderr: false }), 'INVALID_ARGUMENT', /tty/);
  const waiting = await kubelet.create(pod, { name: 'created', image: stage.ref('busybox'), command: ['true'] });
  await expectCode(cri.call('Exec', { ...request, container_id: waiting }), 'FAILED_PRECONDITION', /created, not running/);
  await expectCode(cri.call('Attach', { ...request, container_id: waiting }), 'FAILED_PRECONDITION', /created, not running/);
  await kubelet.removePod(pod);
});

test('execs are allowed while a container takes its time to stop, and refused after', async () => {
  const { cri, kubelet } = stage;
  const { pod, id } = await running(['sh', '-c', 'trap "" TERM; while :; do sleep 1; done']);
  const late = await execUrl(id, ['true'], {});
  const stopping = cri.call('StopContainer', { container_id: id, timeout: 4 });
  await sleep(500);
  const process = await overSpdy(await execUrl(id, ['echo', 'still here'], {}), {});
  expect(await text(process.stdout)).toBe('still here\n');
  await process.closed;
  await stopping;
  await expectCode(cri.call('Exec', { container_id: id, cmd: ['true'], stdout: true }), 'FAILED_PRECONDITION', /exited, not running/);
  const tooLate = await overSpdy(late, {});
  expect(JSON.parse(await tooLate.status)).toMatchObject({ reason: 'InternalError', message: expect.stringMatching(/exited, not running/) });
  await tooLate.closed;
  await kubelet.removePod(pod);
});

test.each(transports)('an exec whose client vanishes is killed with all it started, also when it reads nothing: %s', async (_name, connect) => {
  const { kubelet } = stage;
  const { pod, id } = await running();
  const wanted = { stdin: true };
  const process = await connect(await execUrl(id, ['sh', '-c', '(setsid sleep 7777 &) ; echo started; sleep 8888'], wanted), wanted);
  await new Promise((resolve) => process.stdout.once('data', resolve));
  // Far more than all buffers on the way hold: nothing is read from the client any more when it vanishes.
  send(process.stdin, 64 << 20, { end: false }).catch(() => undefined);
  await sleep(1500);
  process.kill();
  await eventually('both have gone', async () => {
    const { stdout } = await kubelet.exec(id, 'ps', '-o', 'args');
    return /sleep (7777|8888)/.test(stdout) ? undefined : stdout;
  });
  await kubelet.removePod(pod);
});
