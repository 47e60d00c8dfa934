import { rename, readFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { readCriLog, textOf } from '../harness/cri-log.ts';
import { busybox } from '../harness/images.ts';
import { expectCode, useStage } from '../harness/stage.ts';
import { eventually } from '../harness/wait.ts';

const stage = useStage({ images: { busybox } });

const script = (text: string): { image: string; command: string[] } => ({ image: stage.ref('busybox'), command: ['sh', '-c', text] });

test('both streams are logged line by line with time and stream', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  const { lines } = await kubelet.runToEnd(pod, script('echo one; echo two; echo wrong >&2; echo; echo "  three  "'));
  expect(lines.filter(({ stream }) => stream === 'stdout').map(({ text, partial }) => [text, partial])).toEqual([
    ['one', false],
    ['two', false],
    ['', false],
    ['  three  ', false],
  ]);
  expect(textOf(lines, 'stderr')).toBe('wrong\n');
  const times = lines.map(({ time }) => Date.parse(time));
  for (const time of times) expect(Math.abs(Date.now() - time)).toBeLessThan(600_000);
  await kubelet.removePod(pod);
});

test('a line longer than 16 KiB is logged in parts that make up the whole', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  const length = 100_000;
  const { lines } = await kubelet.runToEnd(pod, script(`head -c ${length} /dev/zero | tr '\\0' 'x'; echo; echo after`));
  expect(textOf(lines, 'stdout')).toBe(`${'x'.repeat(length)}\nafter\n`);
  expect(lines.filter(({ partial }) => partial).length).toBeGreaterThanOrEqual(Math.floor(length / 16_384));
  for (const { text } of lines) expect(text.length).toBeLessThanOrEqual(16_384);
  expect(lines.slice(-2).map(({ partial }) => partial)).toEqual([false, false]);
  await kubelet.removePod(pod);
});

test('an end without a newline is a partial line', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  const { lines } = await kubelet.runToEnd(pod, script('printf "whole\\nhalf"'));
  expect(lines.map(({ text }) => text)).toEqual(['whole', 'half']);
  expect(textOf(lines.slice(0, 1), 'stdout')).toBe('whole\n');
  await kubelet.removePod(pod);
});

test('bytes that are no text are logged as they are', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  await kubelet.runToEnd(pod, script('printf "\\377\\000\\376\\n"'));
  const raw = await readFile(path.join(pod.config.log_directory ?? '', 'main/0.log'));
  expect(raw.subarray(-4).toString('hex')).toBe('ff00fe0a');
  await kubelet.removePod(pod);
});

test('a flood is logged without losing or tearing a line', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  const { status, lines } = await kubelet.runToEnd(pod, script('seq 1 200000'));
  expect(status.exit_code).toBe(0);
  expect(lines).toHaveLength(200_000);
  expect(lines.every(({ text }, index) => text === String(index + 1))).toBe(true);
  await kubelet.removePod(pod);
});

test('after ReopenContainerLog the container writes to a new file', async () => {
  const { cri, kubelet } = stage;
  const pod = await kubelet.runPod();
  const id = await kubelet.run(pod, script('n=0; while :; do n=$((n+1)); echo $n; sleep 0.05; done'));
  const current = path.join(pod.config.log_directory ?? '', 'main/0.log');
  await eventually('something is logged', async () => ((await readCriLog(current)).length > 2 ? true : undefined));
  await rename(current, `${current}.1`);
  await cri.call('ReopenContainerLog', { container_id: id });
  const next = await eventually('the new file fills', async () => {
    const lines = await readCriLog(current).catch(() => []);
    return lines.length > 2 ? lines : undefined;
  });
  const old = await readCriLog(`${current}.1`);
  const numbers = [...old, ...next].map(({ text }) => Number(text));
  expect(numbers).toEqual(numbers.map((_, index) => index + 1));
  await kubelet.removePod(pod);
});

test('a terminal\'s output is one stream, without carriage returns', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  const { lines } = await kubelet.runToEnd(pod, { ...script('echo one; echo two >&2; tty'), tty: true });
  expect(lines.map(({ stream, text }) => `${stream} ${text}`)).toEqual(['stdout one', 'stdout two', expect.stringMatching(/^stdout \/dev\/(pts\/0|console)$/)]);
  await kubelet.removePod(pod);
});

test('a container without a log path runs without a log', async () => {
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  const id = await kubelet.run(pod, { ...script('echo lost; exit 3'), log_path: '' });
  expect(await kubelet.waitExited(id)).toMatchObject({ exit_code: 3, log_path: '' });
  await kubelet.removePod(pod);
});

test('a log path whose directory is not there is refused: a kubelet makes it', async () => {
  const { cri, kubelet } = stage;
  const pod = await kubelet.runPod();
  const config = kubelet.containerConfig({ ...script('true'), log_path: 'not/there.log' });
  const create = cri.call('CreateContainer', { pod_sandbox_id: pod.id, config, sandbox_config: pod.config });
  await expectCode(create, 'INVALID_ARGUMENT', /not\/there\.log/);
  await kubelet.removePod(pod);
});

test('a log path cannot climb out of the pod\'s log directory', async () => {
  const { cri, kubelet } = stage;
  const pod = await kubelet.runPod();
  const config = kubelet.containerConfig({ ...script('true'), log_path: '../../escaped.log' });
  const answer = await cri.call('CreateContainer', { pod_sandbox_id: pod.id, config, sandbox_config: pod.config }).catch((error: unknown) => error);
  expect(answer).toMatchObject({ code: 'INVALID_ARGUMENT' });
  await kubelet.removePod(pod);
});
