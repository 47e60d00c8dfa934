/** The kernel's killing of a container, as subscribers hear of it. */

import { expect, test } from 'vitest';
import { subscribeTo } from '../../harness/event-stream.ts';
import { busybox } from '../../harness/images.ts';
import { useStage } from '../../harness/stage.ts';
import { eventually } from '../../harness/wait.ts';

const stage = useStage({ images: { busybox }, enforceLimits: true });

test('a container that is killed for its memory is told of as stopped, with the reason, without anybody asking', async () => {
  const { daemon, kubelet } = stage;
  const pod = await kubelet.runPod();
  const stream = await subscribeTo(daemon.socket);
  const id = await kubelet.run(pod, {
    image: stage.ref('busybox'),
    command: ['tail', '/dev/zero'],
    linux: { resources: { memory_limit_in_bytes: String(32 * 1024 ** 2) } },
  });
  const told = await eventually('the event', async () =>
    stream.events.find((event) => event.container_id === id && event.container_event_type === 'CONTAINER_STOPPED_EVENT'));
  expect(told.containers_statuses).toMatchObject([{ id, state: 'CONTAINER_EXITED', exit_code: 137, reason: 'OOMKilled' }]);
  stream.close();
  await kubelet.removePod(pod);
});
