import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { busyboxLayer } from '../harness/images.ts';
import { buildImage, buildLayer } from '../harness/oci-image.ts';
import type { BuiltImage } from '../harness/oci-image.ts';
import { dir, file } from '../harness/root-fs.ts';
import { useStage } from '../harness/stage.ts';
import { eventually } from '../harness/wait.ts';

const LAYERS = 120;
const ENTRIES = 100_000;
const GROWTH_KIB = 64 * 1024;

/** Each layer changes a file of all the others and adds one of its own. */
const manyLayers = (): BuiltImage => {
  const changes = Array.from({ length: LAYERS - 1 }, (_, index) => buildLayer([dir('many'), file('many/last', `${index}\n`), file(`many/${index}`, 'x')]));
  return buildImage([busyboxLayer(), ...changes], { Cmd: ['sh'] });
};

const manyEntries = (): BuiltImage => {
  const directories = Array.from({ length: 500 }, (_, index) => dir(`d${index}`));
  const files = Array.from({ length: ENTRIES - 500 }, (_, index) => file(`d${index % 500}/f${index}`, 'x'));
  return buildImage([busyboxLayer(), buildLayer([...directories, ...files])], { Cmd: ['sh'] });
};

const stage = useStage({ images: { layers: manyLayers, entries: manyEntries }, pulled: [], leaks: { images: true } });

/** The disk of a busy machine may take minutes to flush this. */
const pull = (repository: string): Promise<unknown> =>
  stage.cri.call('PullImage', { image: { image: stage.ref(repository) } }, { timeoutMs: 240_000 });

test(`an image of ${LAYERS} layers runs`, async () => {
  const { kubelet, cri } = stage;
  await pull('layers');
  const pod = await kubelet.runPod();
  const id = await kubelet.run(pod, { image: stage.ref('layers'), command: ['sleep', '1000'] });
  expect((await kubelet.exec(id, 'sh', '-c', 'cat /many/last; ls /many | wc -l')).stdout).toBe(`${LAYERS - 2}\n${LAYERS}\n`);
  await kubelet.removePod(pod);
  await cri.call('RemoveImage', { image: { image: stage.ref('layers') } });
}, 400_000);

/** KiB of the process's own memory: RssAnon of /proc/PID/status. */
const memoryOf = (pid: number): number => Number(/^RssAnon:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);

test(`an image of ${ENTRIES} entries is pulled without berthd's growing with it, and other calls are answered meanwhile`, async () => {
  const { cri, daemon } = stage;
  const before = memoryOf(daemon.pid);
  let most = before;
  let slowest = 0;
  let calls = 0;
  let done = false;
  const pulling = pull('entries').finally(() => {
    done = true;
  });
  while (!done) {
    const started = performance.now();
    await cri.call('ListContainers', {});
    slowest = Math.max(slowest, performance.now() - started);
    most = Math.max(most, memoryOf(daemon.pid));
    calls += 1;
    await sleep(10);
  }
  await pulling;
  // The time is told, not judged: what a busy machine takes is not berthd's.
  process.stdout.write(`${ENTRIES} entries: ${calls} calls meanwhile, the slowest ${slowest.toFixed(1)} ms; memory grew by ${most - before} KiB\n`);
  expect(calls).toBeGreaterThan(2);
  expect(most - before).toBeLessThan(GROWTH_KIB);
  const { info } = await cri.call('ImageStatus', { image: { image: stage.ref('entries') }, verbose: true });
  const { layers } = JSON.parse(info['info'] ?? '{}') as { layers: { inodes: number }[] };
  expect(layers[1]?.inodes).toBe(ENTRIES);
  await cri.call('RemoveImage', { image: { image: stage.ref('entries') } });
  await eventually('the files are gone', async () => (readdirSync(path.join(daemon.root, 'trash')).length === 0 ? true : undefined), 120_000);
}, 400_000);
