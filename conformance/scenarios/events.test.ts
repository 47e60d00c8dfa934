/** GetContainerEvents, as a kubelet with evented PLEG uses it. */

import { access } from 'node:fs/promises';
import { expect, test } from 'vitest';
import type { ContainerEventResponse__Output } from '../../src/cri-server/generated/runtime/v1/ContainerEventResponse.ts';
import { subscribeTo } from '../harness/event-stream.ts';
import type { EventStream } from '../harness/event-stream.ts';
import { busybox } from '../harness/images.ts';
import { useStage } from '../harness/stage.ts';
import { eventually } from '../harness/wait.ts';

const stage = useStage({ images: { busybox } });

/** `created main`, `stopped pod`: what happened, and to which. */
function story(events: readonly ContainerEventResponse__Output[], names: Readonly<Record<string, string>>): string[] {
  return events
    .filter(({ container_id: id }) => names[id] !== undefined)
    .map(({ container_id: id, container_event_type: type }) => `${String(type).split('_')[1]?.toLowerCase()} ${names[id]}`);
}

async function heard(subscriber: EventStream, names: Readonly<Record<string, string>>, last: string): Promise<string[]> {
  return eventually(last, async () => {
    const lines = story(subscriber.events, names);
    return lines.includes(last) ? lines : undefined;
  });
}

const whole = ['created pod', 'started pod', 'created main', 'started main', 'stopped main', 'deleted main', 'stopped pod', 'deleted pod'];

test('a pod\'s life is told in order, to everybody alike, with the state at each moment', async () => {
  const { cri, kubelet } = stage;
  const subscribers = await Promise.all([subscribeTo(stage.daemon.socket), subscribeTo(stage.daemon.socket)]);
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
  const ends = await kubelet.run(pod, { name: 'ends', image: stage.ref('busybox'), command: ['sleep', '1000'] });
  const stays = await kubelet.run(pod, { name: 'stays', image: stage.ref('busybox'), command: ['sleep', '1000'] });
  const pid = await kubelet.pidOf(ends);
  await daemon.kill();
  process.kill(pid, 'SIGKILL');
  await eventually('the container ends while berthd is away', async () => access(`/proc/${pid}`).then(() => undefined, () => true as const));
  await daemon.start();
  stage.reconnect();
  const back = await subscribeTo(stage.daemon.socket);
  const names = { [pod.id]: 'pod', [ends]: 'ends', [stays]: 'stays' };
  expect(await heard(back, names, 'stopped ends')).toEqual(['stopped ends']);
  await kubelet.removePod(pod);
  const lines = await heard(back, names, 'deleted pod');
  expect(lines.slice(0, 2).toSorted()).toEqual(['stopped ends', 'stopped stays']);
  expect(lines.slice(2, 5).toSorted()).toEqual(['deleted ends', 'deleted stays', 'stopped pod']);
  expect(lines.at(-1)).toBe('deleted pod');
  back.close();
});
