/**
 * Times PullImage on a Berth of its own and, given --peer SOCKET, beside it on another CRI runtime, from one registry,
 * with the registry's files in the page cache and without: `BERTHD=$PWD/dist/berthd node bench/pull.ts`, as root.
 *
 * A peer needs --registry URL, a registry that both reach and that takes pushes; where the peer has a network
 * namespace of its own, start the bench in it: `nsenter --net=/proc/PID/ns/net node bench/pull.ts …`, with --here.
 */

import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { parseArgs } from 'node:util';
import { connectCri } from '../conformance/harness/cri-client.ts';
import type { CriClient } from '../conformance/harness/cri-client.ts';
import { prepareDaemon } from '../conformance/harness/daemon.ts';
import { push } from '../conformance/harness/push.ts';
import { startRegistry } from '../conformance/harness/registry.ts';
import { inOwnWorld } from '../conformance/harness/world.ts';
import { listenerOf } from './memory.ts';
import { pulled } from './pull-images.ts';
import { percentile } from './report.ts';

const say = (text: string): void => void process.stdout.write(`${text}\n`);
const METRICS = '127.0.0.1:19109';
const caches = ['warm', 'cold'] as const;

const { values: options } = parseArgs({
  options: {
    peer: { type: 'string' },
    registry: { type: 'string' },
    /** In the caller's network namespace: the peer's registry is in it. */
    here: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '7' },
    only: { type: 'string' },
  },
});

interface Subject {
  readonly name: string;
  readonly cri: CriClient;
  readonly pid: number;
}

interface Sample {
  readonly milliseconds: number;
  /** Seconds of processor time, the daemon's and of the processes that it started and that ended. */
  readonly cpu: number;
}

/** From /proc/PID/stat, in ticks of a hundredth of a second: utime, stime, cutime and cstime. */
function cpuOf(pid: number): number {
  const line = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = line.slice(line.lastIndexOf(')') + 2).split(' ');
  return fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0) / 100;
}

/** What a layer has left behind in the memory of the machine must not help or hinder the next one. */
function settle(cache: (typeof caches)[number]): void {
  spawnSync('sync');
  if (cache === 'cold') writeFileSync('/proc/sys/vm/drop_caches', '3');
}

async function pullOnce({ cri, pid }: Subject, image: string, cache: (typeof caches)[number]): Promise<Sample> {
  settle(cache);
  const before = cpuOf(pid);
  const began = performance.now();
  await cri.call('PullImage', { image: { image } });
  const milliseconds = performance.now() - began;
  const sample = { milliseconds, cpu: cpuOf(pid) - before };
  await cri.call('RemoveImage', { image: { image } });
  return sample;
}

/** Seconds by work, from Berth's metrics. */
async function unpackCpu(): Promise<ReadonlyMap<string, number>> {
  const metrics = await (await fetch(`http://${METRICS}/metrics`)).text();
  const lines = metrics.matchAll(/^berth_image_unpack_cpu_seconds_total\{work="(\w+)"\} (\S+)$/gm);
  return new Map([...lines].map(([, work = '', seconds = '']) => [work, Number(seconds)]));
}

function row(label: string, subjects: readonly Subject[], samples: readonly (readonly Sample[])[], of: (sample: Sample) => number, digits: number): string {
  const medians = samples.map((all) => percentile(all.map(of), 0.5));
  const least = samples.map((all) => Math.min(...all.map(of)));
  const cells = subjects.map(({ name }, at) => `${name} ${(medians[at] ?? 0).toFixed(digits)} (least ${(least[at] ?? 0).toFixed(digits)})`);
  const [own = 0, peer] = medians;
  return `${label.padEnd(38)} ${cells.join('  ')}${peer === undefined ? '' : `  ratio ${(own / peer).toFixed(2)}`}`;
}

/** The share of Berth's processor time that is not decompression, hashing or the kernel's: the daemon's own is counted as such. */
function shares(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>, total: number): string {
  const spent = (work: string): number => (after.get(work) ?? 0) - (before.get(work) ?? 0);
  const known = ['decompress', 'hash', 'kernel'].map((work) => `${work} ${percent(spent(work), total)}`);
  const unpacker = spent('other');
  const daemon = total - spent('decompress') - spent('hash') - spent('kernel') - unpacker;
  return `${known.join(', ')}, the rest of berth-unpack ${percent(unpacker, total)}, berthd ${percent(daemon, total)}`;
}

const percent = (part: number, whole: number): string => `${((100 * part) / whole).toFixed(0)} %`;

async function measure(subjects: readonly Subject[], name: string, image: string): Promise<void> {
  for (const cache of caches) {
    const samples = subjects.map((): Sample[] => []);
    const before = await unpackCpu();
    for (let round = 0; round < Number(options.rounds); round += 1) {
      const turns = round % 2 === 0 ? [...subjects.entries()] : [...subjects.entries()].toReversed();
      for (const [at, subject] of turns) samples[at]?.push(await pullOnce(subject, image, cache));
    }
    const total = (samples[0] ?? []).reduce((sum, { cpu }) => sum + cpu, 0);
    say(row(`${name}, ${cache}: ms`, subjects, samples, ({ milliseconds }) => milliseconds, 0));
    say(row('  CPU seconds', subjects, samples, ({ cpu }) => cpu, 2));
    say(`  Berth's CPU: ${shares(before, await unpackCpu(), total)}`);
  }
}

async function subject(socket: string, pid: number): Promise<Subject> {
  const cri = connectCri(socket);
  const { runtime_name, runtime_version } = await cri.call('Version', {});
  return { name: `${runtime_name} ${runtime_version}`, cri, pid };
}

async function bench(): Promise<number> {
  const own = options.registry === undefined ? await startRegistry() : undefined;
  const url = options.registry ?? own?.url ?? '';
  const { host } = new URL(url);
  const daemon = await prepareDaemon({ registries: { [host]: url }, logLevel: 'info', flags: ['--metrics-address', METRICS] });
  const subjects: Subject[] = [];
  try {
    await daemon.start();
    subjects.push(await subject(daemon.socket, daemon.pid));
    if (options.peer !== undefined) {
      const path = options.peer.replace(/^unix:\/\//, '');
      subjects.push(await subject(`unix://${path}`, await listenerOf(path)));
    }
    say(`${subjects.map(({ name }) => name).join(' beside ')}; Linux ${release()}, ${cpus().length} cores; median of ${options.rounds} rounds`);
    for (const [position, [name, build]] of Object.entries(pulled).entries()) {
      if (options.only !== undefined && !name.includes(options.only)) continue;
      const repository = `bench/pull-${position}`;
      await push({ url }, repository, 'latest', build());
      await measure(subjects, name, `${host}/${repository}:latest`);
    }
    return 0;
  } finally {
    for (const { cri } of subjects) cri.close();
    await daemon.dispose();
    await own?.stop();
  }
}

await inOwnWorld({ pid: false, net: !options.here }, bench);
