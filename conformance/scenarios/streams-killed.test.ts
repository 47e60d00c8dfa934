import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { busybox } from '../harness/images.ts';
import { useStage } from '../harness/stage.ts';
import { forwardOverSpdy, forwardThroughTunnel } from '../harness/streaming/port-forward.ts';
import { overSpdy, overWebSocket } from '../harness/streaming/remote-process.ts';
import { anonymousMemory, send } from '../harness/streaming/traffic.ts';
import { eventually } from '../harness/wait.ts';

const stage = useStage({ images: { busybox } });

const wanted = { stdin: true };

interface Client {
  kill(): void;
}

/** What a client may be doing when it is killed. */
function attempts(container: string, pod: string): (() => Promise<Client>)[] {
  const { cri } = stage;
  const exec = async (cmd: string[]): Promise<string> => (await cri.call('Exec', { container_id: container, cmd, stdin: true, stdout: true })).url;
  const attach = async (): Promise<string> => (await cri.call('Attach', { container_id: container, stdin: true, stdout: true })).url;
  const forward = async (): Promise<string> => (await cri.call('PortForward', { pod_sandbox_id: pod })).url;
  const busy = async (connecting: ReturnType<typeof overSpdy>): Promise<Client> => {
    const process = await connecting;
    process.stdout.resume();
    process.status.catch(() => undefined);
    send(process.stdin, 8 << 20, { end: true }).catch(() => undefined);
    return process;
  };
  const tunnelled = async (connecting: ReturnType<typeof forwardOverSpdy>): Promise<Client> => {
    const session = await connecting;
    for (let count = 0; count < 5; count++) {
      session.connect(8081).then(({ data }) => {
        data.resume();
        return send(data, 1 << 20, { end: true });
      }).catch(() => undefined);
    }
    return { kill: () => session.close() };
  };
  return [
    async () => busy(overSpdy(await exec(['cat']), wanted)),
    async () => busy(overWebSocket(await exec(['sh', '-c', '(setsid sleep 1000 &); cat']), wanted)),
    async () => busy(overSpdy(await exec(['sleep', '1000']), wanted, { window: 1000 })),
    async () => busy(overSpdy(await attach(), wanted)),
    async () => busy(overWebSocket(await attach(), wanted)),
    async () => tunnelled(forwardOverSpdy(await forward())),
    async () => tunnelled(forwardThroughTunnel(await forward())),
  ];
}

/** Clients that are killed at moments from the first packet on; `runs` of them, a few at a time. */
async function killMany(runs: number, container: string, pod: string): Promise<void> {
  const ways = attempts(container, pod);
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < runs) {
      const way = ways[next % ways.length];
      next += 1;
      const client = await way?.();
      await sleep(Math.random() * 60);
      client?.kill();
    }
  };
  await Promise.all([worker(), worker(), worker(), worker()]);
}

test('clients killed at 200 random moments leave no process, descriptor, file or memory', { timeout: 300_000 }, async () => {
  const { kubelet, daemon } = stage;
  const pod = await kubelet.runPod();
  // It reads and writes nothing that could end it; who attaches may say what they like.
  const container = await kubelet.run(pod, { image: stage.ref('busybox'), command: ['sh', '-c', 'nc -ll -p 8081 -e cat & cat >/dev/null; wait'], stdin: true, log_path: '' });
  const atRest = async (): Promise<string> => (await kubelet.exec(container, 'ps', '-o', 'args')).stdout.replace(/^.*ps -o.*$/m, '');
  const before = await atRest();
  // The first round makes what stays by design: compiled code, a heap of working size.
  await killMany(60, container, pod.id);
  const memory = anonymousMemory(daemon.pid);
  await killMany(200, container, pod.id);
  await eventually('all that they started has ended', async () => ((await atRest()) === before ? true : undefined));
  expect(anonymousMemory(daemon.pid) - memory).toBeLessThan(32 << 20);
  await kubelet.removePod(pod);
});
