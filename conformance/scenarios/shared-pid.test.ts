import { expect, test } from 'vitest';
import { busybox } from '../harness/images.ts';
import type { Pod } from '../harness/kubelet.ts';
import { useStage } from '../harness/stage.ts';
import { eventually } from '../harness/wait.ts';

const stage = useStage({ images: { busybox } });

const shared = { linux: { security_context: { namespace_options: { pid: 'POD' as const } } } };
const separate = { linux: { security_context: { namespace_options: { pid: 'CONTAINER' as const } } } };

const sleeper = (name: string, seconds: number): { name: string; image: string; command: string[]; linux: object } => ({
  name,
  image: stage.ref('busybox'),
  command: ['sleep', String(seconds)],
  linux: { security_context: { namespace_options: { pid: 'POD' } } },
});

async function sharedPod(): Promise<{ pod: Pod; one: string; two: string }> {
  const { kubelet } = stage;
  const pod = await kubelet.runPod(shared);
  const one = await kubelet.run(pod, sleeper('one', 1111));
  const two = await kubelet.run(pod, sleeper('two', 2222));
  return { pod, one, two };
}

const processesSeen = async (id: string): Promise<string> => (await stage.kubelet.exec(id, 'ps', '-o', 'pid,args')).stdout;

test('containers of a pod with a shared PID namespace see each other, and neither is its init', async () => {
  const { kubelet } = stage;
  const { pod, one, two } = await sharedPod();
  for (const id of [one, two]) {
    const seen = await processesSeen(id);
    expect(seen).toContain('sleep 1111');
    expect(seen).toContain('sleep 2222');
    expect(seen).not.toMatch(/^ *1 sleep/m);
  }
  expect((await kubelet.podStatus(pod.id)).linux?.namespaces?.options?.pid).toBe('POD');
  await kubelet.removePod(pod);
});

test('when one container stops, the other goes on', async () => {
  const { cri, kubelet } = stage;
  const { pod, one, two } = await sharedPod();
  await cri.call('StopContainer', { container_id: one, timeout: 0 });
  expect(await kubelet.status(one)).toMatchObject({ state: 'CONTAINER_EXITED', exit_code: 137 });
  expect(await kubelet.status(two)).toMatchObject({ state: 'CONTAINER_RUNNING' });
  const seen = await processesSeen(two);
  expect(seen).not.toContain('sleep 1111');
  expect(seen).toContain('sleep 2222');
  await kubelet.removePod(pod);
});

test('a stopped container takes all its processes with it, also those that left its main process', async () => {
  const { cri, kubelet } = stage;
  const pod = await kubelet.runPod(shared);
  const daemonizer = await kubelet.run(pod, {
    ...sleeper('daemonizer', 0),
    command: ['sh', '-c', '(setsid sleep 3333 </dev/null >/dev/null 2>&1 &) ; exec sleep 4444'],
  });
  const witness = await kubelet.run(pod, sleeper('witness', 2222));
  await eventually('the daemon runs', async () => ((await processesSeen(witness)).includes('sleep 3333') ? true : undefined));
  await cri.call('StopContainer', { container_id: daemonizer, timeout: 0 });
  const seen = await processesSeen(witness);
  expect(seen).not.toContain('sleep 3333');
  expect(seen).not.toContain('sleep 4444');
  await kubelet.removePod(pod);
});

test('orphans are reaped by the pod\'s init', async () => {
  const { kubelet } = stage;
  const { pod, one } = await sharedPod();
  // The middle process ends at once; its child is handed to the init and ends a moment later.
  await kubelet.exec(one, 'sh', '-c', '(sh -c "sleep 0.1" &)');
  await eventually('no zombie is left', async () => {
    const { stdout } = await kubelet.exec(one, 'sh', '-c', 'cat /proc/[0-9]*/stat');
    return / Z /.test(stdout) || stdout.includes('(sleep) S 1 ') ? undefined : true;
  });
  await kubelet.removePod(pod);
});

test('without sharing, each container is process 1 of its own', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod(separate);
  const linux = { security_context: { namespace_options: { pid: 'CONTAINER' as const } } };
  const one = await kubelet.run(pod, { ...sleeper('one', 1111), linux });
  await kubelet.run(pod, { ...sleeper('two', 2222), linux });
  const seen = await processesSeen(one);
  expect(seen).toMatch(/^ *1 sleep 1111$/m);
  expect(seen).not.toContain('sleep 2222');
  await kubelet.removePod(pod);
});

test('a container may join another one\'s PID namespace', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod(separate);
  const target = await kubelet.run(pod, { ...sleeper('target', 1111), linux: { security_context: { namespace_options: { pid: 'CONTAINER' } } } });
  const guest = await kubelet.run(pod, {
    ...sleeper('guest', 2222),
    linux: { security_context: { namespace_options: { pid: 'TARGET', target_id: target } } },
  });
  expect(await processesSeen(guest)).toMatch(/^ *1 sleep 1111$/m);
  await kubelet.removePod(pod);
});

test('a pod in the node\'s PID namespace sees the node\'s processes, and stop kills only its own', async () => {
  const { cri, kubelet } = stage;
  const node = { linux: { security_context: { namespace_options: { pid: 'NODE' as const } } } };
  const pod = await kubelet.runPod(node);
  const id = await kubelet.run(pod, { ...sleeper('main', 1111), ...node, command: ['sh', '-c', '(setsid sleep 3333 &) ; exec sleep 1111'] });
  const pid = await kubelet.pidOf(id);
  expect(await processesSeen(id)).toMatch(new RegExp(`^ *${pid} sleep 1111$`, 'm'));
  await cri.call('StopContainer', { container_id: id, timeout: 0 });
  expect(await kubelet.status(id)).toMatchObject({ state: 'CONTAINER_EXITED', exit_code: 137 });
  await kubelet.removePod(pod);
});
