import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ContainerEventResponse } from '../../cri-server/generated/runtime/v1/ContainerEventResponse.ts';
import { Rig } from '../testing/rig.ts';
import { containerConfig } from '../testing/requests.ts';

let rig: Rig;
beforeEach(async () => {
  rig = await Rig.make();
});
afterEach(() => rig.close());

/** `C`reated, `S`tarted, sto`P`ped, `D`eleted of each object. */
function story(events: readonly ContainerEventResponse[], id: string): string {
  const letters = { CONTAINER_CREATED_EVENT: 'C', CONTAINER_STARTED_EVENT: 'S', CONTAINER_STOPPED_EVENT: 'P', CONTAINER_DELETED_EVENT: 'D' } as const;
  return events
    .filter((event) => event.container_id === id)
    .map((event) => letters[event.container_event_type as keyof typeof letters])
    .join('');
}

/** The pod as an event shows it: the sandbox's state, then the containers'. */
const shown = (event: ContainerEventResponse | undefined) => [
  event?.pod_sandbox_status?.state,
  ...(event?.containers_statuses ?? []).map(({ state }) => state),
];

test('a pod from its beginning to its end, with its state at every moment', async () => {
  const { seen, end } = rig.events();
  const pod = await rig.pod();
  const id = await rig.running(pod);
  await rig.shim(id).exit(3);
  await rig.call('StopPodSandbox', { pod_sandbox_id: pod });
  await rig.call('RemoveContainer', { container_id: id });
  await rig.call('RemovePodSandbox', { pod_sandbox_id: pod });
  await turn();
  expect(seen.map(({ container_id, container_event_type }) => [container_id === pod ? 'pod' : 'container', container_event_type])).toEqual([
    ['pod', 'CONTAINER_CREATED_EVENT'],
    ['pod', 'CONTAINER_STARTED_EVENT'],
    ['container', 'CONTAINER_CREATED_EVENT'],
    ['container', 'CONTAINER_STARTED_EVENT'],
    ['container', 'CONTAINER_STOPPED_EVENT'],
    ['pod', 'CONTAINER_STOPPED_EVENT'],
    ['container', 'CONTAINER_DELETED_EVENT'],
    ['pod', 'CONTAINER_DELETED_EVENT'],
  ]);
  expect(seen.map(shown)).toEqual([
    ['SANDBOX_READY'],
    ['SANDBOX_READY'],
    ['SANDBOX_READY', 'CONTAINER_CREATED'],
    ['SANDBOX_READY', 'CONTAINER_RUNNING'],
    ['SANDBOX_READY', 'CONTAINER_EXITED'],
    ['SANDBOX_NOTREADY', 'CONTAINER_EXITED'],
    ['SANDBOX_NOTREADY'],
    ['SANDBOX_NOTREADY'],
  ]);
  expect(seen[4]?.containers_statuses).toMatchObject([{ id, exit_code: 3 }]);
  expect(seen.at(-1)?.pod_sandbox_status).toMatchObject({ id: pod, metadata: { name: expect.any(String) as string } });
  const times = seen.map(({ created_at }) => BigInt(String(created_at)));
  expect(times).toEqual(times.toSorted((a, b) => (a < b ? -1 : 1)));
  expect(new Set(times).size).toBe(times.length);
  end();
});

test('a container that was never started is stopped without having been started', async () => {
  const { seen, end } = rig.events();
  const pod = await rig.pod();
  const id = await rig.container(pod);
  await rig.call('RemoveContainer', { container_id: id });
  await turn();
  expect(story(seen, id)).toBe('CPD');
  end();
});

test('a program that ends before its start was heard of has still been started', async () => {
  const { seen, end } = rig.events();
  const pod = await rig.pod();
  const id = await rig.container(pod);
  await rig.shim(id).change('exited', { state: 'exited', startedAt: '1500', finishedAt: '2000' });
  await expect.poll(() => story(seen, id)).toBe('CSP');
  end();
});

test('a creation that fails is not spoken of, nor is what is left of it', async () => {
  const { seen, end } = rig.events();
  rig.failAt('network.setUp');
  await expect(rig.pod()).rejects.toThrow('network.setUp fails');
  const pod = await rig.pod();
  rig.failAt('launcher.createContainer');
  rig.failAt('cgroups.remove');
  await expect(rig.container(pod)).rejects.toThrow('launcher.createContainer fails');
  await rig.restart();
  const again = rig.events();
  const { containers = [] } = await rig.call('ListContainers', { filter: null });
  for (const { id = '' } of containers) await rig.call('RemoveContainer', { container_id: id });
  await turn();
  expect(containers.length).toBe(1);
  expect([...seen, ...again.seen].map(({ container_id }) => container_id)).toEqual([pod, pod]);
  end();
  again.end();
});

test('calls that are repeated say nothing twice', async () => {
  const { seen, end } = rig.events();
  const pod = await rig.pod();
  const id = await rig.running(pod);
  for (let times = 0; times < 2; times += 1) await rig.call('StopContainer', { container_id: id, timeout: '0' });
  for (let times = 0; times < 2; times += 1) await rig.call('StopPodSandbox', { pod_sandbox_id: pod });
  for (let times = 0; times < 2; times += 1) await rig.call('RemovePodSandbox', { pod_sandbox_id: pod });
  await turn();
  expect([story(seen, id), story(seen, pod)]).toEqual(['CSPD', 'CSPD']);
  end();
});

test('an end while berthd is down is told once, to everybody who comes back; what was told before is not', async () => {
  const pod = await rig.pod();
  const ends = await rig.running(pod);
  const goesOn = await rig.running(pod, containerConfig({ metadata: { name: 'other', attempt: 0 } }));
  await rig.restart(() => rig.shim(ends).exit(7));
  const [first, second] = [rig.events(), rig.events()];
  await turn();
  for (const { seen } of [first, second]) {
    expect([story(seen, ends), story(seen, goesOn), story(seen, pod)]).toEqual(['P', '', '']);
    expect(seen[0]?.containers_statuses?.find((status) => status.id === ends)).toMatchObject({ state: 'CONTAINER_EXITED', exit_code: 7 });
  }
  await rig.call('RemovePodSandbox', { pod_sandbox_id: pod });
  await turn();
  expect([story(first.seen, ends), story(first.seen, goesOn), story(first.seen, pod)]).toEqual(['PD', 'PD', 'PD']);
  first.end();
  second.end();
});
