import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { busybox, web, WEB_PAGE } from '../harness/images.ts';
import type { Pod, PodOptions } from '../harness/kubelet.ts';
import { expectCode, useStage } from '../harness/stage.ts';
import { forwardOverSpdy, forwardThroughTunnel } from '../harness/streaming/port-forward.ts';
import type { ForwardedConnection, ForwardSession } from '../harness/streaming/port-forward.ts';
import { connectWebSocket } from '../harness/streaming/remote-process.ts';
import { memoryGrowth, receive, send } from '../harness/streaming/traffic.ts';
import { eventually } from '../harness/wait.ts';

const stage = useStage({ images: { busybox, web } });

const transports: [string, (url: string) => Promise<ForwardSession>][] = [
  ['SPDY, as Kubernetes speaks it', (url) => forwardOverSpdy(url)],
  ['SPDY with windows', (url) => forwardOverSpdy(url, { window: 50_000 })],
  ['SPDY in a WebSocket', (url) => forwardThroughTunnel(url)],
];

const echoPort = 8081;

/** A pod that serves a page on 8080 and, on 8081, says everything back until the other side has ended. */
async function serving(options: PodOptions = {}): Promise<Pod> {
  const pod = await stage.kubelet.runPod(options);
  await stage.kubelet.run(pod, { name: 'web', image: stage.ref('web') });
  const echo = await stage.kubelet.run(pod, { name: 'echo', image: stage.ref('busybox'), command: ['nc', '-ll', '-p', String(echoPort), '-e', 'cat'] });
  await eventually('both listen', async () => {
    const { stdout } = await stage.kubelet.exec(echo, 'netstat', '-tln');
    return stdout.includes(':8080') && stdout.includes(`:${echoPort}`) ? stdout : undefined;
  });
  return pod;
}

async function forwardUrl(pod: Pod, port: number[] = []): Promise<string> {
  return (await stage.cri.call('PortForward', { pod_sandbox_id: pod.id, port })).url;
}

async function page(session: ForwardSession, port = 8080): Promise<string> {
  const { data, error } = await session.connect(port);
  data.end('GET / HTTP/1.0\r\n\r\n');
  const [answer, problem] = await Promise.all([text(data), error]);
  expect(problem).toBe('');
  return answer;
}

async function close(session: ForwardSession): Promise<void> {
  const closed = once(session.spdy.socket, 'close');
  session.close();
  await closed;
}

test.each(transports)('a page, a failure and a page again, in one session: %s', async (_name, open) => {
  const pod = await serving();
  const session = await open(await forwardUrl(pod));
  expect(await page(session)).toContain(WEB_PAGE);
  const refused = await session.connect(9999);
  expect(await refused.error).toMatch(/port 9999 to sandbox .*ECONNREFUSED/);
  await eventually('its data stream is gone', async () => (refused.data.destroyed ? true : undefined));
  const broken = await session.connect(echoPort);
  broken.data.write('half a sent');
  await once(broken.data, 'data');
  broken.data.reset();
  expect(await page(session)).toContain(WEB_PAGE);
  await close(session);
  await stage.kubelet.removePod(pod);
});

test.each(transports)('each direction ends by itself: %s', async (_name, open) => {
  const pod = await serving();
  const session = await open(await forwardUrl(pod));
  const { data, error } = await session.connect(echoPort);
  data.end('all that I have to say');
  expect(await Promise.all([text(data), error])).toEqual(['all that I have to say', '']);
  await close(session);
  await stage.kubelet.removePod(pod);
});

test.each(transports)('fifty connections at once carry what they are given, whole, for little memory: %s', async (_name, open) => {
  const pod = await serving();
  const session = await open(await forwardUrl(pod));
  const connections: ForwardedConnection[] = [];
  // One after the other, because busybox lets no more than two wait to be accepted.
  while (connections.length < 50) {
    const connection = await session.connect(echoPort);
    connection.data.write('!');
    await once(connection.data, 'readable');
    expect(String(connection.data.read(1))).toBe('!');
    connections.push(connection);
  }
  const growth = await memoryGrowth(stage.daemon.pid, async () => {
    await Promise.all(connections.map(async ({ data, error }) => {
      const [received, sent, problem] = await Promise.all([receive(data), send(data, 1 << 20, { end: true }), error]);
      expect(received).toEqual(sent);
      expect(problem).toBe('');
    }));
  });
  expect(growth).toBeLessThan(32 << 20);
  await close(session);
  await stage.kubelet.removePod(pod);
});

test('one connection that is not read does not hold up the others of a client that keeps windows', async () => {
  const pod = await serving();
  const session = await forwardOverSpdy(await forwardUrl(pod), { window: 50_000 });
  const stuck = await session.connect(echoPort);
  send(stuck.data, 16 << 20, { end: false }).catch(() => undefined);
  await eventually('it is stuck', async () => (stuck.data.received >= 50_000 ? true : undefined));
  expect(await page(session)).toContain(WEB_PAGE);
  await close(session);
  await stage.kubelet.removePod(pod);
});

test('a program that listens on ::1 alone is reached', async () => {
  const pod = await stage.kubelet.runPod();
  const id = await stage.kubelet.run(pod, { image: stage.ref('web'), args: ['-h', '/www', '-p', '[::1]:8086'] });
  await eventually('it listens', async () => ((await stage.kubelet.exec(id, 'netstat', '-tln')).stdout.includes('::1:8086') ? true : undefined));
  const session = await forwardOverSpdy(await forwardUrl(pod));
  expect(await page(session, 8086)).toContain(WEB_PAGE);
  await close(session);
  await stage.kubelet.removePod(pod);
});

test('a pod in the network of the host', async () => {
  const pod = await serving({ linux: { security_context: { namespace_options: { network: 'NODE', pid: 'CONTAINER', ipc: 'POD' } } } });
  const session = await forwardOverSpdy(await forwardUrl(pod));
  expect(await page(session)).toContain(WEB_PAGE);
  await close(session);
  await stage.kubelet.removePod(pod);
});

test.each([
  ['the ports of the request', [8080, echoPort], ''],
  ['the ports of the URL', [], `?port=8080,${echoPort}`],
])('the older protocol on WebSocket channels, with %s', async (_name, ports, query) => {
  const pod = await serving();
  const said = ['', '', '', ''];
  const socket = await connectWebSocket(`${await forwardUrl(pod, ports)}${query}`, ['v4.channel.k8s.io'], (message) => {
    said[message[0] ?? 0] += message.toString('latin1', 1);
  });
  const closed = once(socket, 'close');
  socket.send(Buffer.from('\x00GET / HTTP/1.0\r\n\r\n', 'latin1'));
  socket.send(Buffer.from('\x02words', 'latin1'));
  const littleEndian = (port: number): string => String.fromCharCode(port & 0xff, port >> 8);
  await eventually('both have answered', async () => (said[0]?.includes(WEB_PAGE) === true && said[2]?.endsWith('words') === true ? said : undefined));
  expect(said.map((text_) => text_.slice(0, 2))).toEqual([8080, 8080, echoPort, echoPort].map(littleEndian));
  expect([said[1], said[3]].map((text_) => text_?.slice(2))).toEqual(['', '']);
  socket.terminate();
  await closed;
  await stage.kubelet.removePod(pod);
});

test('a sandbox that is not ready, a port that is none and one that nobody made are refused', async () => {
  const { cri, kubelet } = stage;
  const pod = await kubelet.runPod();
  await expectCode(cri.call('PortForward', { pod_sandbox_id: pod.id, port: [70_000] }), 'INVALID_ARGUMENT', /port/);
  await expectCode(cri.call('PortForward', { pod_sandbox_id: 'f'.repeat(64) }), 'NOT_FOUND');
  const url = await forwardUrl(pod);
  await cri.call('StopPodSandbox', { pod_sandbox_id: pod.id });
  await expectCode(cri.call('PortForward', { pod_sandbox_id: pod.id }), 'FAILED_PRECONDITION', /not ready/);
  const session = await forwardOverSpdy(url);
  const { error } = await session.connect(80);
  expect(await error).toMatch(/not ready/);
  await close(session);
  await kubelet.removePod(pod);
});
