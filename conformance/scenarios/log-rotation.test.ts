/**
 * Rotation while a container writes as fast as it can on both streams. BERTH_LOG_LINES=5000000 makes it a long
 * run of ten million lines.
 */

import { readdir, rename } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { busybox } from '../harness/images.ts';
import { countedTo } from '../harness/numbered-log.ts';
import { CriError } from '../harness/cri-client.ts';
import { useStage } from '../harness/stage.ts';

/** On each of the two streams. */
const lines = Number(process.env['BERTH_LOG_LINES'] ?? '200000');
/** Ten times a second. */
const pauseMs = 100;

const stage = useStage({ images: { busybox } });

test('no line is lost, doubled or torn, and each stream keeps its order', { timeout: 60_000 + lines / 10 }, async () => {
  const { cri, kubelet } = stage;
  const pod = await kubelet.runPod();
  const id = await kubelet.run(pod, { image: stage.ref('busybox'), command: ['sh', '-c', `seq 1 ${lines} >&2 & seq 1 ${lines}; wait; sleep 0.3`] });
  const log = path.join(pod.config.log_directory ?? '', 'main', '0.log');
  let rotations = 0;
  for (; (await kubelet.status(id)).state === 'CONTAINER_RUNNING'; rotations += 1) {
    await rename(log, `${log}.${String(rotations).padStart(6, '0')}`);
    const ended = await cri.call('ReopenContainerLog', { container_id: id }).then(() => false, (error: unknown) => {
      // It may end while it is asked.
      if (error instanceof CriError && error.code === 'FAILED_PRECONDITION') return true;
      throw error;
    });
    if (ended) break;
    await sleep(pauseMs);
  }
  expect((await kubelet.waitExited(id)).exit_code).toBe(0);
  expect(rotations).toBeGreaterThan(2);
  const names = (await readdir(path.dirname(log))).toSorted((a, b) => (a === '0.log' ? 1 : b === '0.log' ? -1 : a < b ? -1 : 1));
  expect(await countedTo(names.map((name) => path.join(path.dirname(log), name)))).toEqual({ stdout: lines, stderr: lines });
  process.stdout.write(`${2 * lines} lines over ${names.length} files\n`);
  await kubelet.removePod(pod);
});
