/** GetContainerEvents, as a kubelet with evented PLEG uses it. */

import { Client, credentials } from '@grpc/grpc-js';
import type { ClientReadableStream } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { access } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import type { ContainerEventResponse__Output } from '../../src/cri-server/generated/runtime/v1/ContainerEventResponse.ts';
import type { RuntimeServiceDefinition } from '../../src/cri-server/generated/runtime/v1/RuntimeService.ts';
import { busybox } from '../harness/images.ts';
import { useStage } from '../harness/stage.ts';
import { eventually } from '../harness/wait.ts';

const stage = useStage({ images: { busybox } });

interface Subscriber {
  readonly events: ContainerEventResponse__Output[];
  close(): void;
}

/** Resolves when the stream is served: what happens from then on is heard. */
async function subscribe(): Promise<Subscriber> {
  const proto = fileURLToPath(new URL('../../proto/cri/v1/api.proto', import.meta.url));
  const contract = loadSync(proto, { keepCase: true, longs: String, enums: String, defaults: true });
  const method = (contract['runtime.v1.RuntimeService'] as unknown as RuntimeServiceDefinition).GetContainerEvents;
  const client = new Client(stage.daemon.socket, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
  const stream: ClientReadableStream<ContainerEventResponse__Output> =
    client.makeServerStreamRequest(method.path, method.requestSerialize, method.responseDeserialize, {});
  const events: ContainerEventResponse__Output[] = [];
  const served = Promise.withResolvers<void>();
  stream.on('metadata', () => served.resolve());
  stream.on('error', (error) => served.reject(error));
  stream.on('data', (event: ContainerEventResponse__Output) => events.push(event));
  await served.promise;
  return {
    events,
    close: () => {
      stream.cancel();
      client.close();
    },
  };
}

/** `created main`, `stopped pod`: what happened, and to which. */
function story(events: readonly ContainerEventResponse__Output[], names: Readonly<Record<string, string>>): string[] {
  return events
    .filter(({ container_id: id }) => names[id] !== undefined)
    .map(({ container_id: id, container_event_type: type }) => `${String(type).split('_')[1]?.toLowerCase()} ${names[id]}`);
}

async function heard(subscriber: Subscriber, names: Readonly<Record<string, string>>, last: string): Promise<string[]> {
  return eventually(last, async () => {
    const lines = story(subscriber.events, names);
    return lines.includes(last) ? lines : undefined;
  });
}

const whole = ['created pod', 'started pod', 'created main', 'started main', 'stopped main', 'deleted main', 'stopped pod', 'deleted pod'];

test('a pod\'s life is told in order, to everybody alike, with the state at each moment', async () => {
  const { cri, kubelet } = stage;
  const subscribers = await Promise.all([subscribe(), subscribe()]);
  const pod = await kubelet.runPod();
  const id = await kubelet.run(pod, { image: stage.ref('busybox'), command: ['sh', '-c', 'exit 3'] });
  await kubelet.waitExited(id);
  await cri.call('RemoveContainer', { container_id: id });
  await kubelet.removePod(pod);
  const names = { [pod.id]: 'pod', [id]: 'main' };
  for (const subscriber of subscribers) {
    expect(await heard(subscriber, names, 'deleted pod')).toEqual(whole);
    const states = subscriber.events.filter(({ container_id }) => container_id === id).map(({ containers_statuses: [status] }) => status?.state);
    expect(states).toEqual(['CONTAINER_CREATED', 'CONTAINER_RUNNING', 'CONTAINER_EXITED', undefined]);
    const stopped = subscriber.events.find((event) => event.container_id === id && event.container_event_type === 'CONTAINER_STOPPED_EVENT');
    expect(stopped).toMatchObject({ pod_sandbox_status: { id: pod.id, state: 'SANDBOX_READY' }, containers_statuses: [{ id, exit_code: 3 }] });
    const times = subscriber.events.map(({ created_at }) => BigInt(created_at));
    expect(times.every((time, index) => index === 0 || time >= (times[index - 1] ?? 0n))).toBe(true);
    subscriber.close();
  }
});

test('what happens while berthd is down is told once it is back, and only that', async () => {
  const { daemon, kubelet } = stage;
  const pod = await kubelet.runPod();
  const ends = await kubelet.run(pod, { name: 'ends', image: stage.ref('busybox'), command: ['sleep', '2'] });
  const stays = await kubelet.run(pod, { name: 'stays', image: stage.ref('busybox'), command: ['sleep', '1000'] });
  const pid = await kubelet.pidOf(ends);
  await daemon.kill();
  await eventually('the container ends while berthd is away', async () => access(`/proc/${pid}`).then(() => undefined, () => true as const));
  await daemon.start();
  stage.reconnect();
  const back = await subscribe();
  const names = { [pod.id]: 'pod', [ends]: 'ends', [stays]: 'stays' };
  expect(await heard(back, names, 'stopped ends')).toEqual(['stopped ends']);
  await kubelet.removePod(pod);
  const lines = await heard(back, names, 'deleted pod');
  expect(lines.slice(0, 2).toSorted()).toEqual(['stopped ends', 'stopped stays']);
  expect(lines.slice(2, 5).toSorted()).toEqual(['deleted ends', 'deleted stays', 'stopped pod']);
  expect(lines.at(-1)).toBe('deleted pod');
  back.close();
});
