import { stat } from 'node:fs/promises';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { containerPlaces, mutate, podPlaces, someMutations } from '../../src/runtime-service/testing/security-mutations.ts';
import { containerConfig, podLinux, podSecurity } from '../../src/runtime-service/testing/requests.ts';
import { CriError } from '../harness/cri-client.ts';
import type { CriClient } from '../harness/cri-client.ts';
import { busybox } from '../harness/images.ts';
import { useStage } from '../harness/stage.ts';

const stage = useStage({ images: { busybox } });

/** Fixed, so that what fails here fails everywhere. Printed with a counterexample. */
const seed = 20_250_806;

/** What a request that cannot be honoured may be answered with. INTERNAL, UNAVAILABLE or UNKNOWN would be a failure of ours. */
const refusals = ['INVALID_ARGUMENT', 'UNIMPLEMENTED', 'FAILED_PRECONDITION', 'NOT_FOUND'];

/** The answer, or the code and text of a refusal; anything else is thrown. */
async function honouredOrRefused(call: Promise<string>): Promise<string | undefined> {
  return call.catch((cause: unknown) => {
    if (cause instanceof CriError && refusals.includes(cause.code) && cause.details.length > 0) return undefined;
    throw cause;
  });
}

/** What a container may be asked for without harm to the machine, which keeps its files as they are. */
async function hostFiles(): Promise<unknown[]> {
  const paths = ['/dev/null', '/dev/zero', '/etc', '/etc/hosts', '/proc/sys/kernel/core_pattern', '/'];
  return Promise.all(paths.map(async (path) => {
    const { mode, uid, gid, rdev, ino } = await stat(path);
    return { path, mode, uid, gid, rdev, ino };
  }));
}

async function tryContainer(cri: CriClient, pod: string, config: object): Promise<void> {
  const id = await honouredOrRefused(cri.call('CreateContainer', { pod_sandbox_id: pod, config } as never).then(({ container_id }) => container_id));
  if (id === undefined) return;
  await honouredOrRefused(cri.call('StartContainer', { container_id: id }).then(() => id));
  await cri.call('RemoveContainer', { container_id: id });
}

test('containers with any settings are made as asked or refused, and neither berthd nor a shim breaks on them', async () => {
  const { cri, kubelet } = stage;
  const pod = await kubelet.runPod();
  const { pid } = stage.daemon;
  const before = await hostFiles();
  let attempt = 0;
  const property = fc.asyncProperty(someMutations(containerPlaces), async (mutations) => {
    const plain = { ...containerConfig(), metadata: { name: 'fuzzed', attempt: attempt++ }, image: { image: stage.ref('busybox') }, command: ['true'], log_path: '' };
    const request = { config: structuredClone(plain) };
    mutate(request, mutations);
    await tryContainer(cri, pod.id, request.config);
  });
  await fc.assert(property, { seed, numRuns: 250 });
  expect((await cri.call('ListContainers', {})).containers).toEqual([]);
  expect(stage.daemon.pid).toBe(pid);
  expect(await hostFiles()).toEqual(before);
  await kubelet.removePod(pod);
});

test('pods with any settings are made as asked or refused, and berthd does not break on them', async () => {
  const { cri, kubelet } = stage;
  const { pid } = stage.daemon;
  const before = await hostFiles();
  const property = fc.asyncProperty(someMutations(podPlaces), async (mutations) => {
    const config = await kubelet.podConfig();
    const parent = config.linux?.cgroup_parent ?? '';
    const request = { config: { ...structuredClone(config), linux: podLinux({ security_context: podSecurity(), cgroup_parent: parent }) } };
    mutate(request, mutations.filter(({ path }) => path.at(-1) !== 'cgroup_parent'));
    const id = await honouredOrRefused(cri.call('RunPodSandbox', request as never).then(({ pod_sandbox_id }) => pod_sandbox_id));
    if (id === undefined) return;
    await cri.call('StopPodSandbox', { pod_sandbox_id: id });
    await cri.call('RemovePodSandbox', { pod_sandbox_id: id });
  });
  await fc.assert(property, { seed, numRuns: 80 });
  expect((await cri.call('ListPodSandbox', {})).items).toEqual([]);
  expect(stage.daemon.pid).toBe(pid);
  expect(await hostFiles()).toEqual(before);
  await kubelet.removeAll();
});
