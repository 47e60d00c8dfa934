import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { busybox } from '../harness/images.ts';
import type { ContainerOptions } from '../harness/kubelet.ts';
import { useStage } from '../harness/stage.ts';
import { overSpdy, overWebSocket } from '../harness/streaming/remote-process.ts';
import type { RemoteProcess, Wanted } from '../harness/streaming/remote-process.ts';
import { eventually } from '../harness/wait.ts';

const stage = useStage({ images: { busybox } });

async function attachUrl(id: string, wanted: Wanted): Promise<string> {
  const { stdin = false, stdout = true, stderr = false, tty = false } = wanted;
  return (await stage.cri.call('Attach', { container_id: id, tty, stdin, stdout, stderr })).url;
}

async function start(options: Omit<ContainerOptions, 'image'>): Promise<{ remove: () => Promise<void>; id: string }> {
  const pod = await stage.kubelet.runPod();
  const id = await stage.kubelet.run(pod, { image: stage.ref('busybox'), ...options });
  return { id, remove: () => stage.kubelet.removePod(pod) };
}

/** Collects what comes, for waiting until it is there. */
function watch(process: RemoteProcess): { seen: () => string; sees: (wanted: string) => Promise<string> } {
  let seen = '';
  process.stdout.on('data', (chunk: Buffer) => {
    seen += chunk.toString();
  });
  return { seen: () => seen, sees: (wanted) => eventually(`"${wanted}" is shown`, async () => (seen.includes(wanted) ? seen : undefined)) };
}

test('several clients see the same, each may speak, and one that leaves is not missed', async () => {
  const { id, remove } = await start({ command: ['sh', '-c', 'while read line; do echo "got $line"; done'], stdin: true });
  const wanted = { stdin: true };
  const [first, second] = [await overSpdy(await attachUrl(id, wanted), wanted), await overWebSocket(await attachUrl(id, wanted), wanted)];
  const screens = [watch(first), watch(second)];
  // A client sees what is written once it is attached, and when that is, only its first sight tells.
  await eventually('both clients are attached', async () => {
    first.stdin.write('hello\n');
    return screens.every((screen) => screen.seen().includes('got hello\n')) ? true : undefined;
  });
  first.stdin.write('one\n');
  await Promise.all(screens.map((screen) => screen.sees('got one\n')));
  second.stdin.write('two\n');
  await Promise.all(screens.map((screen) => screen.sees('got two\n')));
  first.kill();
  await first.closed;
  second.stdin.write('three\n');
  await screens[1]?.sees('got three\n');
  expect((await stage.kubelet.status(id)).state).toBe('CONTAINER_RUNNING');
  second.kill();
  await second.closed;
  expect((await stage.kubelet.status(id)).state).toBe('CONTAINER_RUNNING');
  await remove();
});

test('with stdin_once the end of the first client\'s input is the end of the container\'s', async () => {
  const { id, remove } = await start({ command: ['sh', '-c', 'cat; echo "that was all"; echo oops >&2; exit 4'], stdin: true, stdin_once: true });
  const wanted = { stdin: true, stderr: true };
  const process = await overSpdy(await attachUrl(id, wanted), wanted);
  process.stdin.end('words\n');
  expect(await Promise.all([text(process.stdout), text(process.stderr), process.status])).toEqual([
    'words\nthat was all\n', 'oops\n', '{"metadata":{},"status":"Success"}',
  ]);
  await process.closed;
  expect((await stage.kubelet.waitExited(id)).exit_code).toBe(4);
  await remove();
});

test('a terminal can be attached to, resized and detached from', async () => {
  const { id, remove } = await start({ command: ['sh', '-c', 'while read line; do stty size; done'], stdin: true, tty: true });
  const wanted = { stdin: true, tty: true };
  for (const [columns, rows] of [[90, 30], [120, 50]] as const) {
    const process = await overSpdy(await attachUrl(id, wanted), wanted);
    const screen = watch(process);
    process.resize(columns, rows);
    process.stdin.write('\n');
    await screen.sees(`${rows} ${columns}\r\n`);
    process.kill();
    await process.closed;
  }
  expect((await stage.kubelet.status(id)).state).toBe('CONTAINER_RUNNING');
  await remove();
});

test('a client that only looks holds nothing up, and sees the end', async () => {
  const command = ['sh', '-c', 'until read -t 1 line; do echo "waiting"; done; echo "last words"'];
  const { id, remove } = await start({ command, stdin: true, stdin_once: true });
  const looking = await overWebSocket(await attachUrl(id, {}), {});
  const screen = watch(looking);
  await screen.sees('waiting\n');
  const speaking = await overSpdy(await attachUrl(id, { stdin: true, stdout: false }), { stdin: true, stdout: false });
  speaking.stdin.end('\n');
  expect(await screen.sees('last words\n')).toMatch(/^(waiting\n)+last words\n$/);
  expect(JSON.parse(await looking.status)).toMatchObject({ status: 'Success' });
  await Promise.all([looking.closed, speaking.closed]);
  await remove();
});
