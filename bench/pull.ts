/**
 * Times PullImage on a Berth of its own and, given --peer SOCKET, beside it on another CRI runtime, from one registry,
 * with the registry's files in the page cache and without: `BERTHD=$PWD/dist/berthd node bench/pull.ts`, as root.
 *
 * The registry is the bench's own, on loopback. Where the peer has a network namespace of its own, start the bench in
 * it: `nsenter --net=/proc/PID/ns/net node bench/pull.ts --here …`.
 *
 * Every pull is of another image: ext4 looks for a free inode past each one that was deleted within minutes, which
 * takes seconds when thousands were, and makes the second pull after a removal a measurement of that alone.
 */

import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { cpus, release } from 'node:os';
import { parseArgs } from 'node:util';
import { connectCri } from '../conformance/harness/cri-client.ts';
import type { CriClient } from '../conformance/harness/cri-client.ts';
import { prepareDaemon } from '../conformance/harness/daemon.ts';
import { push } from '../conformance/harness/push.ts';
import { startRegistry } from '../conformance/harness/registry.ts';
import type { Registry } from '../conformance/harness/registry.ts';
import { inOwnWorld } from '../conformance/harness/world.ts';
import { childrenOf, listenerOf } from './memory.ts';
import { pulled } from './pull-images.ts';
import { percentile } from './report.ts';

const say = (text: string): void => void process.stdout.write(`${text}\n`);
const METRICS = '127.0.0.1:19109';
const caches = ['warm', 'cold'] as const;
type Cache = (typeof caches)[number];

const { values: options } = parseArgs({
  options: {
    peer: { type: 'string' },
    /** In the caller's network namespace: a peer is in it. */
    here: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '5' },
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
  /** Seconds of processor time, the daemon's and that of the processes below it. */
  readonly cpu: number;
}

/** From /proc/PID/stat, in ticks of a hundredth of a second: utime, stime, cutime and cstime. What has just ended counts nothing. */
async function cpuOf(pid: number): Promise<number> {
  const line = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  const fields = line.slice(line.lastIndexOf(')') + 2).split(' ');
  const own = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0) / 100;
  const children = await Promise.all((await childrenOf(pid)).map(cpuOf));
  return children.reduce((sum, seconds) => sum + seconds, own);
}

/** Without anything in the page cache, or with the registry's files alone. */
function settle(cache: Cache, storage: string): void {
  spawnSync('sync');
  writeFileSync('/proc/sys/vm/drop_caches', '3');
  if (cache === 'warm') spawnSync('sh', ['-c', 'cat "$0"/docker/registry/v2/blobs/sha256/*/*/data > /dev/null', storage]);
}

async function pullOnce({ cri, pid }: Subject, image: string): Promise<Sample> {
  const before = await cpuOf(pid);
  const began = performance.now();
  await cri.call('PullImage', { image: { image } });
  return { milliseconds: performance.now() - began, cpu: (await cpuOf(pid)) - before };
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

/** Turn by turn, and who begins changes. Nothing is removed before all have been pulled. */
async function measure(subjects: readonly Subject[], registry: Registry, name: string, images: readonly string[], cache: Cache): Promise<void> {
  const samples = subjects.map((): Sample[] => []);
  const before = await unpackCpu();
  for (const [round, image] of images.entries()) {
    const turns = round % 2 === 0 ? [...subjects.entries()] : [...subjects.entries()].toReversed();
    for (const [at, subject] of turns) {
      settle(cache, registry.storage);
      samples[at]?.push(await pullOnce(subject, image));
    }
  }
  const total = (samples[0] ?? []).reduce((sum, { cpu }) => sum + cpu, 0);
  say(row(`${name}, ${cache}: ms`, subjects, samples, ({ milliseconds }) => milliseconds, 0));
  say(row('  CPU seconds', subjects, samples, ({ cpu }) => cpu, 2));
  say(`  Berth's CPU: ${shares(before, await unpackCpu(), total)}`);
  for (const { cri } of subjects) for (const image of images) await cri.call('RemoveImage', { image: { image } });
}

async function measureAll(subjects: readonly Subject[], registry: Registry): Promise<void> {
  for (const [kind, [name, build]] of Object.entries(pulled).entries()) {
    if (options.only !== undefined && !name.includes(options.only)) continue;
    const images: string[] = [];
    for (let number = 0; number < Number(options.rounds); number += 1) {
      await push(registry, `bench/pull-${kind}`, String(number), build(number));
      images.push(`${registry.host}/bench/pull-${kind}:${number}`);
    }
    for (const cache of caches) await measure(subjects, registry, name, images, cache);
  }
}

async function subject(socket: string, pid: number): Promise<Subject> {
  const cri = connectCri(socket);
  const { runtime_name, runtime_version } = await cri.call('Version', {});
  return { name: `${runtime_name} ${runtime_version}`, cri, pid };
}

async function bench(): Promise<number> {
  const registry = await startRegistry();
  const daemon = await prepareDaemon({ registries: { [registry.host]: registry.url }, logLevel: 'info', flags: ['--metrics-address', METRICS] });
  const subjects: Subject[] = [];
  try {
    await daemon.start();
    subjects.push(await subject(daemon.socket, daemon.pid));
    if (options.peer !== undefined) {
      const path = options.peer.replace(/^unix:\/\//, '');
      subjects.push(await subject(`unix://${path}`, await listenerOf(path)));
    }
    say(`${subjects.map(({ name }) => name).join(' beside ')}; Linux ${release()}, ${cpus().length} cores; median of ${options.rounds} rounds`);
    await measureAll(subjects, registry);
    return 0;
  } finally {
    for (const { cri } of subjects) cri.close();
    await daemon.dispose();
    await registry.stop();
  }
}

await inOwnWorld({ pid: false, net: !options.here }, bench);
