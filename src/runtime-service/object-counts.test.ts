import { afterEach, beforeEach, expect, test } from 'vitest';
import { containerConfig } from './testing/requests.ts';
import { Rig } from './testing/rig.ts';

let rig: Rig;
beforeEach(async () => {
  rig = await Rig.make();
});
afterEach(() => rig.close());

/** The samples of some metrics, as Prometheus sees them. */
async function samples(...names: string[]): Promise<Record<string, number>> {
  const lines = (await rig.metrics.metrics()).split('\n').filter((line) => names.some((name) => line.startsWith(`${name}{`) || line.startsWith(`${name} `)));
  return Object.fromEntries(lines.map((line) => {
    const at = line.lastIndexOf(' ');
    return [line.slice(0, at), Number(line.slice(at + 1))];
  }));
}

test('what there is is counted by phase, with zeros for what there is none of', async () => {
  const pod = await rig.pod();
  await rig.container(pod);
  await rig.running(pod, containerConfig({ metadata: { name: 'second', attempt: 0 } }));
  expect(await samples('berth_sandboxes', 'berth_containers', 'berth_shims')).toEqual({
    'berth_sandboxes{phase="creating"}': 0, 'berth_sandboxes{phase="ready"}': 1, 'berth_sandboxes{phase="stopped"}': 0,
    'berth_containers{phase="creating"}': 0, 'berth_containers{phase="created"}': 1, 'berth_containers{phase="running"}': 1,
    'berth_containers{phase="exited"}': 0,
    berth_shims: 2,
  });
  expect(await samples('berth_ledger_entries')).toMatchObject({ 'berth_ledger_entries{entry="cgroup"}': 3, 'berth_ledger_entries{entry="network"}': 1 });
});

test('what cannot be given back is counted each time that it is tried, and stays in the ledger', async () => {
  const pod = await rig.pod();
  rig.failAt('network.tearDown', 2);
  for (let time = 0; time < 2; time += 1) await rig.call('StopPodSandbox', { pod_sandbox_id: pod }).catch(() => undefined);
  expect(await samples('berth_ledger_release_failures_total', 'berth_ledger_entries')).toMatchObject({
    'berth_ledger_release_failures_total{entry="network"}': 2, 'berth_ledger_entries{entry="network"}': 1, 'berth_ledger_entries{entry="cgroup"}': expect.any(Number) as number,
  });
});

test('a shim that is lost is counted, and one that ends is not', async () => {
  const pod = await rig.pod();
  const lost = await rig.running(pod);
  const ended = await rig.running(pod, containerConfig({ metadata: { name: 'second', attempt: 0 } }));
  await rig.shim(ended).exit(0);
  rig.shim(lost).close();
  await expect.poll(() => samples('berth_shims', 'berth_shims_lost_total'), { timeout: 20_000 }).toEqual({ berth_shims: 0, berth_shims_lost_total: 1 });
});

test('log entries that were dropped are counted with the end of their container', async () => {
  const id = await rig.running(await rig.pod());
  await rig.shim(id).change('exited', { state: 'exited', exitCode: 0, finishedAt: '2000', logDropped: 7 });
  await expect.poll(() => samples('berth_container_log_entries_dropped_total'), { timeout: 20_000 }).toMatchObject({ 'berth_container_log_entries_dropped_total{reason="file"}': 7 });
});
