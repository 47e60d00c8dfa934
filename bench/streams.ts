/**
 * Times exec streams and port-forwards on a Berth of its own and, given --peer SOCKET, beside it on another
 * CRI runtime: bytes sent over SPDY to a `cat` in a container, which sends them back.
 * `BERTHD=$PWD/dist/berthd node bench/streams.ts --peer SOCKET`, as root.
 */

import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { cpus, release } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { inOwnWorld } from '../conformance/harness/world.ts';
import { listenerOf } from './memory.ts';
import { percentile } from './report.ts';
import { remove, run, withRuntimes } from './subjects.ts';
import type { Running, Runtime } from './subjects.ts';

const say = (text: string): void => void process.stdout.write(`${text}\n`);
const execute = promisify(execFile);
const client = fileURLToPath(new URL('stream-client.ts', import.meta.url));

const { values: options } = parseArgs({
  options: {
    peer: { type: 'string' },
    rounds: { type: 'string', default: '5' },
    megabytes: { type: 'string', default: '200' },
    connections: { type: 'string', default: '8' },
    'cni-bin-dir': { type: 'string', default: '/usr/lib/cni' },
  },
});

interface Subject {
  readonly runtime: Runtime;
  readonly running: Running;
  /** Of the daemon: its network is where the streams are served. */
  readonly pid: number;
}

interface Sample {
  /** Both ways together. */
  readonly megabytesPerSecond: number;
  /** Of the daemon, for each gigabyte. */
  readonly cpuSeconds: number;
}

const kinds = {
  'exec, 1 stream': { connections: 1, url: execUrl },
  'port-forward, 1 connection': { connections: 1, url: forwardUrl },
  'port-forward, many connections': { connections: Number(options.connections), url: forwardUrl },
} as const;

async function execUrl({ runtime, running }: Subject): Promise<string> {
  return (await runtime.cri.call('Exec', { container_id: running.container, cmd: ['cat'], stdin: true, stdout: true })).url;
}

async function forwardUrl({ runtime, running }: Subject): Promise<string> {
  return (await runtime.cri.call('PortForward', { pod_sandbox_id: running.pod })).url;
}

/** User and system time of a process, in seconds (proc(5), fields 14 and 15). */
async function cpuSeconds(pid: number): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, 'latin1')).split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

async function transfer(subject: Subject, kind: keyof typeof kinds): Promise<Sample> {
  const { url, connections } = kinds[kind];
  const before = await cpuSeconds(subject.pid);
  const { stdout } = await execute('nsenter', [
    `--net=/proc/${subject.pid}/ns/net`, process.execPath, client, kind.startsWith('exec') ? 'exec' : 'portforward',
    await url(subject), String(Number(options.megabytes) * 1e6), String(connections),
  ]);
  const { bytes, seconds } = JSON.parse(stdout) as { bytes: number; seconds: number };
  const moved = 2 * bytes;
  return { megabytesPerSecond: moved / 1e6 / seconds, cpuSeconds: ((await cpuSeconds(subject.pid)) - before) / (moved / 1e9) };
}

async function prepare(runtime: Runtime, pid: number): Promise<Subject> {
  const running = await run(runtime, ['nc', '-ll', '-p', '8081', '-e', 'cat']);
  await sleep(500);
  return { runtime, running, pid };
}

/** Turn by turn, so that a slow moment of the machine meets both. */
async function measure(subjects: readonly Subject[], kind: keyof typeof kinds): Promise<void> {
  const samples = subjects.map((): Sample[] => []);
  for (let round = -1; round < Number(options.rounds); round += 1) {
    for (const [at, subject] of subjects.entries()) {
      const sample = await transfer(subject, kind);
      if (round >= 0) samples[at]?.push(sample);
    }
  }
  const medians = samples.map((list) => ({
    speed: percentile(list.map(({ megabytesPerSecond }) => megabytesPerSecond), 0.5),
    cpu: percentile(list.map((sample) => sample.cpuSeconds), 0.5),
  }));
  const cells = medians.map(({ speed, cpu }) => speed.toFixed(0).padStart(14) + cpu.toFixed(2).padStart(10)).join('');
  const [own, peer] = medians;
  say(`${kind.padEnd(32)}${cells}${own === undefined || peer === undefined ? '' : (own.speed / peer.speed).toFixed(2).padStart(12)}`);
}

async function bench(): Promise<number> {
  await withRuntimes({ peer: options.peer, cniBinDir: options['cni-bin-dir'] }, async (runtimes, daemonPid) => {
    const subjects: Subject[] = [];
    for (const [at, runtime] of runtimes.entries()) {
      subjects.push(await prepare(runtime, at === 0 ? daemonPid : await listenerOf((options.peer ?? '').replace(/^unix:\/\//, ''))));
    }
    say(`${runtimes.map(({ name, version }) => `${name} ${version}`).join(' beside ')}; Linux ${release()}, ${cpus().length} cores`);
    say(`${'median of both ways'.padEnd(32)}${runtimes.map(({ name }) => `${name} MB/s`.padStart(14) + 'CPU s/GB'.padStart(10)).join('')}${runtimes.length > 1 ? '       ratio' : ''}`);
    for (const kind of Object.keys(kinds) as (keyof typeof kinds)[]) await measure(subjects, kind);
    for (const { runtime, running } of subjects) await remove(runtime, running);
  });
  return 0;
}

await inOwnWorld({ pid: false }, bench);
