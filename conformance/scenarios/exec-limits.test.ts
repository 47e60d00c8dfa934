/** Execs that misbehave, fail, come in crowds, or come at the end. */

import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { execAndWait } from '../../src/shim/exec.ts';
import { busybox } from '../harness/images.ts';
import type { Pod } from '../harness/kubelet.ts';
import { expectCode, useStage } from '../harness/stage.ts';
import { eventually } from '../harness/wait.ts';

const stage = useStage({ images: { busybox } });

async function running(...command: string[]): Promise<{ pod: Pod; id: string }> {
  const pod = await stage.kubelet.runPod();
  return { pod, id: await stage.kubelet.run(pod, { image: stage.ref('busybox'), command: command.length > 0 ? command : ['sleep', '1000'] }) };
}

/** Descriptors of the container's shim. */
async function shimDescriptors(id: string): Promise<number> {
  const { shimPid } = JSON.parse(await readFile(path.join(stage.daemon.state, 'shims', id, 'status.json'), 'utf8')) as { shimPid: number };
  return (await readdir(`/proc/${shimPid}/fd`)).length;
}

test('a time-out ends what forked twice, changed its session and ignores SIGTERM', async () => {
  const { cri, kubelet } = stage;
  const { pod, id } = await running();
  const deaf = `trap '' TERM HUP INT; (setsid sh -c "trap '' TERM; (sleep 7771 &) ; exec sleep 7772" </dev/null >/dev/null 2>&1 &); (setsid sleep 7773 &); exec sleep 7774`;
  await expectCode(cri.call('ExecSync', { container_id: id, cmd: ['sh', '-c', deaf], timeout: 1 }), 'DEADLINE_EXCEEDED', /timed out after 1 s/);
  await eventually('none of them is left', async () => (/sleep 777/.test((await kubelet.exec(id, 'ps', '-o', 'args')).stdout) ? undefined : true));
  expect((await kubelet.exec(id, 'ps', '-o', 'args')).stdout).toContain('sleep 1000');
  await kubelet.removePod(pod);
});

test('of each stream so much is kept, and the program is not held up by the rest', async () => {
  const { kubelet } = stage;
  const { pod, id } = await running();
  const kept = 1 << 20;
  // Asked of the shim itself: with both streams full, an answer over CRI would be larger than clients take.
  const result = await execAndWait(
    { id, stateDir: path.join(stage.daemon.state, 'shims', id) },
    ['sh', '-c', 'head -c 20000000 /dev/zero; head -c 18000000 /dev/zero >&2; exit 3'],
    kept,
    AbortSignal.timeout(60_000),
  );
  expect({ ...result, stdout: result.stdout.length, stderr: result.stderr.length }).toEqual({ exitCode: 3, stdout: kept, stderr: kept });
  await kubelet.removePod(pod);
});

test('execs that cannot start, or are given up, leave no descriptor in the shim', async () => {
  const { cri, kubelet } = stage;
  const { pod, id } = await running();
  await kubelet.exec(id, 'true');
  const before = await eventually('the shim is at rest', async () => {
    const count = await shimDescriptors(id);
    return count === (await shimDescriptors(id)) ? count : undefined;
  });
  for (let time = 0; time < 20; time += 1) {
    await expectCode(cri.call('ExecSync', { container_id: id, cmd: ['/no/such'], timeout: 5 }), 'INVALID_ARGUMENT', /\/no\/such/);
    await expectCode(cri.call('ExecSync', { container_id: id, cmd: ['/etc'], timeout: 5 }), 'INVALID_ARGUMENT', /\/etc/);
  }
  await Promise.all(Array.from({ length: 10 }, () => expectCode(cri.call('ExecSync', { container_id: id, cmd: ['sleep', '100'], timeout: 1 }), 'DEADLINE_EXCEEDED')));
  await eventually('all of them are closed', async () => ((await shimDescriptors(id)) === before ? true : undefined));
  await kubelet.removePod(pod);
});

test('three hundred execs at once in one container', async () => {
  const { kubelet } = stage;
  const { pod, id } = await running();
  const results = await Promise.all(Array.from({ length: 300 }, (_, number) => kubelet.exec(id, 'sh', '-c', `echo ${number}; exit ${number % 200}`)));
  expect(results).toEqual(results.map((_, number) => ({ stdout: `${number}\n`, stderr: '', exitCode: number % 200 })));
  await kubelet.removePod(pod);
});

test('a container that is being stopped takes execs until it has ended', async () => {
  const { cri, kubelet } = stage;
  const { pod, id } = await running('sh', '-c', 'trap "touch /asked" TERM; while ! test -e /allowed; do sleep 0.05; done; exit 7');
  const stop = cri.call('StopContainer', { container_id: id, timeout: 60 });
  await eventually('it has been asked to stop', async () => ((await kubelet.exec(id, 'test', '-e', '/asked')).exitCode === 0 ? true : undefined));
  expect(await kubelet.exec(id, 'touch', '/allowed')).toMatchObject({ exitCode: 0 });
  await stop;
  expect((await kubelet.status(id)).exit_code).toBe(7);
  await expectCode(cri.call('ExecSync', { container_id: id, cmd: ['true'], timeout: 5 }), 'FAILED_PRECONDITION', /is exited, not running/);
  await kubelet.removePod(pod);
});
