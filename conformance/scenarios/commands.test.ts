import { describe, expect, test } from 'vitest';
import type { ContainerOptions } from '../harness/kubelet.ts';
import { textOf } from '../harness/cri-log.ts';
import { busybox, commanded, commandless } from '../harness/images.ts';
import { expectCode, useStage } from '../harness/stage.ts';
import { eventually } from '../harness/wait.ts';

const stage = useStage({ images: { busybox, commanded, commandless } });

/** The contract has bytes for values: an environment need not be UTF-8. */
const env = (key: string, value: string): { key: string; value: Buffer } => ({ key, value: Buffer.from(value) });

const output = async (options: Omit<ContainerOptions, 'image'> & { image?: string }): Promise<string> => {
  const pod = await stage.kubelet.runPod();
  const { status, lines } = await stage.kubelet.runToEnd(pod, { ...options, image: stage.ref(options.image ?? 'commanded') });
  expect(status.exit_code).toBe(0);
  await stage.kubelet.removePod(pod);
  return textOf(lines, 'stdout');
};

describe('the program is put together from the image and the request', () => {
  test('neither command nor args: the image decides', async () => {
    expect(await output({})).toBe('entrypoint cmd\n');
  });
  test('args alone take the place of the image\'s command', async () => {
    expect(await output({ args: ['from', 'request'] })).toBe('entrypoint from request\n');
  });
  test('a command takes the place of entrypoint and command', async () => {
    expect(await output({ command: ['echo', 'mine'] })).toBe('mine\n');
  });
  test('command and args are joined', async () => {
    expect(await output({ command: ['echo', 'mine'], args: ['and', 'more'] })).toBe('mine and more\n');
  });
  test('arguments are passed on byte by byte', async () => {
    const argument = 'a  b\n$HOME "quoted" \\ ünïcode';
    expect(await output({ command: ['printf', '%s|%s|\\n'], args: [argument, ''] })).toBe(`${argument}||\n`);
  });
  test('nothing to run at all is refused', async () => {
    const pod = await stage.kubelet.runPod();
    await expectCode(stage.kubelet.create(pod, { image: stage.ref('commandless') }), 'INVALID_ARGUMENT', /command/i);
    await stage.kubelet.removePod(pod);
  });
});

describe('the environment', () => {
  test('is the image\'s, with the request\'s on top', async () => {
    const envs = [env('OVERRIDDEN', 'request'), env('ADDED', 'a=b c'), env('EMPTY', '')];
    const lines = (await output({ command: ['env'], envs })).trim().split('\n');
    expect(lines).toEqual(expect.arrayContaining(['FROM_IMAGE=yes', 'OVERRIDDEN=request', 'ADDED=a=b c', 'EMPTY=', 'PATH=/usr/bin:/bin']));
    expect(lines.filter((line) => line.startsWith('OVERRIDDEN='))).toHaveLength(1);
  });
  test('holds nothing of the daemon\'s', async () => {
    const names = (await output({ command: ['env'] })).trim().split('\n').map((line) => line.split('=')[0]);
    expect(names.filter((name) => !['PATH', 'HOME', 'FROM_IMAGE', 'OVERRIDDEN', 'HOSTNAME', 'SHLVL', 'PWD'].includes(name ?? ''))).toEqual([]);
  });
  test('names the pod in HOSTNAME', async () => {
    const pod = await stage.kubelet.runPod({ hostname: 'named' });
    const { lines } = await stage.kubelet.runToEnd(pod, { image: stage.ref('busybox'), command: ['sh', '-c', 'echo $HOSTNAME'] });
    expect(textOf(lines, 'stdout')).toBe('named\n');
    await stage.kubelet.removePod(pod);
  });
  test('is an exec\'s too', async () => {
    const { kubelet } = stage;
    const pod = await kubelet.runPod();
    const id = await kubelet.run(pod, { image: stage.ref('commanded'), command: ['sleep', '1000'], envs: [env('ADDED', 'yes')] });
    expect((await kubelet.exec(id, 'sh', '-c', 'echo $FROM_IMAGE $ADDED $PWD')).stdout).toBe('yes yes /made/by/image\n');
    await kubelet.removePod(pod);
  });
});

describe('the working directory', () => {
  test('is the image\'s, made when the image does not hold it', async () => {
    expect(await output({ command: ['pwd'] })).toBe('/made/by/image\n');
  });
  test('is the request\'s when it names one', async () => {
    expect(await output({ command: ['pwd'], working_dir: '/also/made' })).toBe('/also/made\n');
  });
  test('is the root when nobody names one', async () => {
    expect(await output({ image: 'busybox', command: ['pwd'] })).toBe('/\n');
  });
  test('cannot be a file', async () => {
    const pod = await stage.kubelet.runPod();
    const create = stage.kubelet.create(pod, { image: stage.ref('busybox'), command: ['pwd'], working_dir: '/etc/passwd' });
    await expectCode(create, 'INVALID_ARGUMENT', /\/etc\/passwd/);
    await stage.kubelet.removePod(pod);
  });
});

describe('the stop signal', () => {
  const trap = 'trap "echo USR1; exit 3" USR1; trap "echo TERM; exit 4" TERM; trap "echo INT; exit 5" INT; echo up; while :; do sleep 0.1; done';
  const stopped = async (options: Partial<ContainerOptions>): Promise<{ exitCode: number; text: string }> => {
    const { cri, kubelet } = stage;
    const pod = await kubelet.runPod();
    const id = await kubelet.run(pod, { image: stage.ref('busybox'), command: ['sh', '-c', trap], ...options });
    await eventually('the traps are set', async () => ((await kubelet.logs(pod)).length > 0 ? true : undefined));
    await cri.call('StopContainer', { container_id: id, timeout: 30 });
    const { exit_code: exitCode } = await kubelet.status(id);
    const text = textOf(await kubelet.logs(pod), 'stdout');
    await kubelet.removePod(pod);
    return { exitCode, text };
  };
  test('is SIGTERM by default', async () => {
    expect(await stopped({})).toEqual({ exitCode: 4, text: 'up\nTERM\n' });
  });
  test('is the image\'s when it names one', async () => {
    expect(await stopped({ image: stage.ref('commanded') })).toEqual({ exitCode: 3, text: 'up\nUSR1\n' });
  });
  test('is the request\'s before all', async () => {
    expect(await stopped({ image: stage.ref('commanded'), stop_signal: 'SIGNAL_SIGINT' })).toEqual({ exitCode: 5, text: 'up\nINT\n' });
  });
  test('may be a real-time one, and is told', async () => {
    const command = ['sh', '-c', 'trap "echo RT; exit 6" 37; echo up; while :; do sleep 0.1; done'];
    expect(await stopped({ command, stop_signal: 'SIGNAL_SIGRTMINPLUS3' })).toEqual({ exitCode: 6, text: 'up\nRT\n' });
    const pod = await stage.kubelet.runPod();
    const id = await stage.kubelet.create(pod, { image: stage.ref('busybox'), command: ['true'], stop_signal: 'SIGNAL_SIGRTMINPLUS3' });
    expect((await stage.kubelet.status(id)).stop_signal).toBe('SIGNAL_SIGRTMINPLUS3');
    await stage.kubelet.removePod(pod);
  });
});
