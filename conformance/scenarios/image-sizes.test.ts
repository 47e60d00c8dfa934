import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { busyboxLayer } from '../harness/images.ts';
import { buildImage, buildLayer } from '../harness/oci-image.ts';
import type { BuiltImage } from '../harness/oci-image.ts';
import { dir, file, hardlink, symlink, whiteout } from '../harness/root-fs.ts';
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

/** A layer that images share: of every sort of file, and one whose blocks are less than its size says. */
const sharedLayer = () =>
  buildLayer([
    dir('a'), file('a/large', Buffer.alloc(3_000_000, 7)), file('a/empty', ''), hardlink('a/again', 'a/large'), symlink('a/link', 'large'.repeat(40)),
    ...Array.from({ length: 300 }, (_, index) => dir(`a/${index}`)), ...Array.from({ length: 300 }, (_, index) => file(`a/${index}/f`, 'x'.repeat(index))),
  ]);
const one = (): BuiltImage => buildImage([sharedLayer()]);
/** Its upper layer has directories that it does not list, for which there is a layer more on disk. */
const two = (): BuiltImage => buildImage([sharedLayer(), buildLayer([file('a/1/g', 'y'.repeat(9000)), file('b/c/d', 'z'), whiteout('a/2')], 'zstd')]);

const stage = useStage({ images: { one, two, layers: manyLayers, entries: manyEntries }, pulled: [], leaks: { images: true } });

/** The disk of a busy machine may take minutes to flush this. */
const pull = (repository: string): Promise<unknown> =>
  stage.cri.call('PullImage', { image: { image: stage.ref(repository) } }, { timeoutMs: 240_000 });

interface Usage {
  readonly bytes: number;
  readonly inodes: number;
}

async function reported(): Promise<Usage> {
  const { image_filesystems: [usage] } = await stage.cri.call('ImageFsInfo', {});
  return { bytes: Number(usage?.used_bytes?.value), inodes: Number(usage?.inodes_used?.value) };
}

/** What du counts of everything that images have on the disk. */
function onDisk(): Usage {
  const places = ['layers/sha256', 'images/blobs/sha256', 'images/quarantine', 'staging'].flatMap((name) =>
    readdirSync(path.join(stage.daemon.root, name)).map((entry) => path.join(stage.daemon.root, name, entry)),
  );
  if (places.length === 0) return { bytes: 0, inodes: 0 };
  const total = (unit: string): number => Number(/^(\d+)\ttotal$/m.exec(execFileSync('du', ['--summarize', '--total', unit, ...places], { encoding: 'utf8' }))?.[1]);
  return { bytes: total('--block-size=1'), inodes: total('--inodes') };
}

async function expectTruth(): Promise<Usage> {
  // What the kernel has not yet given blocks has none for du either.
  execFileSync('sync', ['--file-system', stage.daemon.root]);
  const usage = await reported();
  expect(usage).toEqual(onDisk());
  return usage;
}

test('ImageFsInfo is what du counts, shared layers once, and what a removal frees is what goes', async () => {
  expect(await expectTruth()).toEqual({ bytes: 0, inodes: 0 });
  for (const repository of ['one', 'two']) await pull(repository);
  const both = await expectTruth();
  expect(both.bytes).toBeGreaterThan(3_000_000 + 300 * 4096);
  await stage.daemon.kill();
  await stage.daemon.start();
  stage.reconnect();
  expect(await reported()).toEqual(both);
  await stage.cri.call('RemoveImage', { image: { image: stage.ref('two') } });
  const left = await expectTruth();
  expect(both.bytes - left.bytes).toBeGreaterThan(9000);
  expect(both.bytes - left.bytes).toBeLessThan(1_000_000);
  await stage.cri.call('RemoveImage', { image: { image: stage.ref('one') } });
  expect(await expectTruth()).toEqual({ bytes: 0, inodes: 0 });
});

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
