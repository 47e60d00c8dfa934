/** What becomes of a container's output when its log cannot take it, or may not. */

import { spawnSync } from 'node:child_process';
import { truncate } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { readCriLog, textOf } from '../harness/cri-log.ts';
import { busybox } from '../harness/images.ts';
import type { Pod } from '../harness/kubelet.ts';
import { expectCode, useStage } from '../harness/stage.ts';
import { eventually } from '../harness/wait.ts';

/** In the world's own network. */
const metrics = '127.0.0.1:9464';
const stage = useStage({ images: { busybox }, settings: '[runtime]\nlog_rate_limit = 1000000\n', flags: ['--metrics-address', metrics] });

const script = (text: string): { image: string; command: string[] } => ({ image: stage.ref('busybox'), command: ['sh', '-c', text] });
const logOf = (pod: Pod): string => path.join(pod.config.log_directory ?? '', 'main/0.log');

async function dropped(reason: string): Promise<number> {
  const text = await (await fetch(`http://${metrics}/metrics`)).text();
  return Number(new RegExp(`^berth_container_log_entries_dropped_total\\{reason="${reason}"\\} (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
}

/** A small file system in place of the pod's log directory. */
async function withFullDisk(pod: Pod, use: () => Promise<void>): Promise<void> {
  const directory = pod.config.log_directory ?? '';
  expect(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'berth-test', directory]).status).toBe(0);
  try {
    await use();
  } finally {
    expect(spawnSync('umount', ['-l', directory]).status).toBe(0);
  }
}

test('on a full disk the container runs on, and its log says what is missing once there is room', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod({ annotations: { 'berth.dev/log-rate-limit': '0' } });
  const before = await dropped('file');
  await withFullDisk(pod, async () => {
    const id = await kubelet.run(pod, script('seq 1 20000; touch /passed; while :; do echo tick; sleep 0.1; done'));
    await eventually('the program has written all', async () => ((await kubelet.exec(id, 'test', '-e', '/passed')).exitCode === 0 ? true : undefined));
    const full = (await readCriLog(logOf(pod))).map(({ text }) => text).filter((text) => text !== 'tick');
    expect(full.length).toBeGreaterThan(1000);
    expect(full).toEqual(full.map((_, index) => String(index + 1)));
    await eventually('the metrics know', async () => ((await dropped('file')) > before ? true : undefined));
    await truncate(logOf(pod), 0);
    const lines = await eventually('there is output after the note', async () => {
      const read = await readCriLog(logOf(pod));
      return read.at(-1)?.text === 'tick' && read.length > 3 ? read : undefined;
    });
    const notes = lines.filter(({ text }) => text.startsWith('berth: '));
    expect(notes.map(({ stream, partial }) => ({ stream, partial }))).toEqual([{ stream: 'stderr', partial: false }]);
    const [, count = '0'] = /^berth: (\d+) log lines were dropped: No space left on device$/.exec(notes[0]?.text ?? '') ?? [];
    // Ticks may have been lost, too.
    expect(Number(count)).toBeGreaterThanOrEqual(20_000 - full.length);
    expect(lines.filter(({ text }) => text !== 'tick')).toHaveLength(1);
  });
  await kubelet.removePod(pod);
});

test('what goes beyond a pod\'s rate is dropped, counted and told, line by line', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod({ annotations: { 'berth.dev/log-rate-limit': '2k' } });
  const before = await dropped('rate');
  const { status, lines } = await kubelet.runToEnd(pod, script('seq 1 50000'));
  expect(status.exit_code).toBe(0);
  const numbers = lines.filter(({ stream }) => stream === 'stdout').map(({ text }) => Number(text));
  expect(numbers.slice(0, 20)).toEqual(Array.from({ length: 20 }, (_, index) => index + 1));
  expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
  const told = lines.filter(({ stream }) => stream === 'stderr').map(({ text }) => {
    expect(text).toMatch(/^berth: \d+ log lines? (was|were) dropped: over the limit of 2000 bytes per second$/);
    return Number(text.split(' ')[1]);
  });
  expect(numbers.length + told.reduce((sum, count) => sum + count, 0)).toBe(50_000);
  expect(await dropped('rate')).toBe(before + 50_000 - numbers.length);
  await kubelet.removePod(pod);
});

test('without an annotation the setting counts, and slow output is not touched', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  const { lines } = await kubelet.runToEnd(pod, script('seq 1 1000'));
  expect(textOf(lines, 'stdout')).toBe(Array.from({ length: 1000 }, (_, index) => `${index + 1}\n`).join(''));
  const flood = await kubelet.runToEnd(pod, { ...script('seq 1 200000'), name: 'flood' });
  expect(flood.lines.some(({ text }) => text.endsWith('over the limit of 1000000 bytes per second'))).toBe(true);
  await kubelet.removePod(pod);
});

test('an annotation that is no rate is refused by name', async () => {
  const { cri, kubelet } = stage;
  const pod = await kubelet.runPod({ annotations: { 'berth.dev/log-rate-limit': 'fast' } });
  const config = kubelet.containerConfig({ ...script('true'), log_path: '' });
  const create = cri.call('CreateContainer', { pod_sandbox_id: pod.id, config, sandbox_config: pod.config });
  await expectCode(create, 'INVALID_ARGUMENT', /berth\.dev\/log-rate-limit.*fast/);
  await kubelet.removePod(pod);
});
