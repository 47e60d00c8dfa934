import { expect, test } from 'vitest';
import { busybox } from '../harness/images.ts';
import type { Pod } from '../harness/kubelet.ts';
import { expectCode, useStage } from '../harness/stage.ts';

const stage = useStage({ images: { busybox } });

async function running(): Promise<{ pod: Pod; id: string }> {
  const pod = await stage.kubelet.runPod();
  return { pod, id: await stage.kubelet.run(pod, { image: stage.ref('busybox'), command: ['sleep', '1000'] }) };
}

test('output, errors and exit code come back exactly', async () => {
  const { kubelet } = stage;
  const { pod, id } = await running();
  expect(await kubelet.exec(id, 'true')).toEqual({ stdout: '', stderr: '', exitCode: 0 });
  expect(await kubelet.exec(id, 'sh', '-c', 'printf out; printf err >&2; exit 200')).toEqual({ stdout: 'out', stderr: 'err', exitCode: 200 });
  expect((await kubelet.exec(id, 'sh', '-c', 'kill -9 $$')).exitCode).toBe(137);
  const big = await kubelet.exec(id, 'sh', '-c', 'head -c 1000000 /dev/zero | tr "\\0" x');
  expect(big.stdout).toBe('x'.repeat(1_000_000));
  await kubelet.removePod(pod);
});

test('an exec has no standard input to wait on', async () => {
  const { kubelet } = stage;
  const { pod, id } = await running();
  expect(await kubelet.exec(id, 'cat')).toEqual({ stdout: '', stderr: '', exitCode: 0 });
  await kubelet.removePod(pod);
});

test('an exec that takes too long ends with DEADLINE_EXCEEDED and takes its grandchildren with it', async () => {
  const { cri, kubelet } = stage;
  const { pod, id } = await running();
  const cmd = ['sh', '-c', '(setsid sleep 7777 >/dev/null 2>&1 &); sleep 8888'];
  await expectCode(cri.call('ExecSync', { container_id: id, cmd, timeout: 1 }), 'DEADLINE_EXCEEDED');
  const { stdout } = await kubelet.exec(id, 'ps', '-o', 'args');
  expect(stdout).not.toContain('sleep 7777');
  expect(stdout).not.toContain('sleep 8888');
  expect(stdout).toContain('sleep 1000');
  await kubelet.removePod(pod);
});

test('an exec ends when its process does, even if a grandchild keeps the output open', async () => {
  const { kubelet } = stage;
  const { pod, id } = await running();
  const from = performance.now();
  const { stdout, exitCode } = await kubelet.exec(id, 'sh', '-c', 'sleep 600 & echo done');
  expect({ stdout, exitCode }).toEqual({ stdout: 'done\n', exitCode: 0 });
  expect(performance.now() - from).toBeLessThan(25_000);
  await kubelet.removePod(pod);
});

test('a program that does not exist is a clear error', async () => {
  const { cri, kubelet } = stage;
  const { pod, id } = await running();
  const error = await cri.call('ExecSync', { container_id: id, cmd: ['/no/such/program'], timeout: 5 }).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ message: expect.stringMatching(/\/no\/such\/program/) });
  await expectCode(cri.call('ExecSync', { container_id: id, cmd: [], timeout: 5 }), 'INVALID_ARGUMENT', /cmd/);
  await kubelet.removePod(pod);
});

test('execs run side by side', async () => {
  const { kubelet } = stage;
  const { pod, id } = await running();
  const results = await Promise.all(Array.from({ length: 20 }, (_, number) => kubelet.exec(id, 'sh', '-c', `echo ${number}; exit ${number}`)));
  expect(results).toEqual(results.map((_, number) => ({ stdout: `${number}\n`, stderr: '', exitCode: number })));
  await kubelet.removePod(pod);
});

test('output without end does not exhaust the daemon', async () => {
  const { cri, kubelet } = stage;
  const { pod, id } = await running();
  const answer = await cri.call('ExecSync', { container_id: id, cmd: ['head', '-c', '100000000', '/dev/zero'], timeout: 60 }).then(
    ({ stdout }) => stdout.length,
    (error: unknown) => error,
  );
  // Either the answer is cut at the message limit or the call is refused; the daemon lives.
  if (typeof answer === 'number') expect(answer).toBeLessThanOrEqual(16 * 1024 * 1024);
  else expect(answer).toMatchObject({ code: expect.stringMatching(/RESOURCE_EXHAUSTED|INTERNAL/) });
  expect((await kubelet.exec(id, 'echo', 'alive')).stdout).toBe('alive\n');
  await kubelet.removePod(pod);
});
