/** Statistics against the kernel's own files, for many containers at once. */

import { execFileSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import type { ContainerStats__Output } from '../../../src/cri-server/generated/runtime/v1/ContainerStats.ts';
import type { LinuxPodSandboxStats__Output } from '../../../src/cri-server/generated/runtime/v1/LinuxPodSandboxStats.ts';
import { busybox } from '../../harness/images.ts';
import type { Pod } from '../../harness/kubelet.ts';
import { useStage } from '../../harness/stage.ts';
import { eventually } from '../../harness/wait.ts';

const stage = useStage({ images: { busybox }, enforceLimits: true });

const PODS = 10;
const CONTAINERS_PER_POD = 5;

/** Computes, writes files, and talks to the gateway. */
const load = (gateway: string): string => `ping ${gateway} >/dev/null 2>&1 & while :; do i=0; while [ $i -lt 200 ]; do i=$((i+1)); done; dd if=/dev/zero of=/data bs=64k count=4 2>/dev/null; sleep 1; done`;

interface Subject {
  readonly id: string;
  readonly pid: number;
  readonly cgroup: string;
}

/** What `cat` gives, in the CRI's units. */
interface Kernel {
  readonly counters: Readonly<Record<string, bigint>>;
  readonly gauges: Readonly<Record<string, bigint>>;
}

const lines = async (file: string): Promise<Map<string, bigint>> =>
  new Map((await readFile(file, 'utf8')).split('\n').flatMap((line) => {
    const [key = '', value = ''] = line.split(' ');
    return /^\d+$/.test(value) ? [[key, BigInt(value)] as const] : [];
  }));

const number = async (file: string): Promise<bigint> => BigInt((await readFile(file, 'utf8')).trim());

async function stalled(directory: string, resource: string, kind: string): Promise<bigint> {
  const text = await readFile(path.join(directory, `${resource}.pressure`), 'utf8');
  return BigInt(new RegExp(`^${kind} .*total=(\\d+)$`, 'm').exec(text)?.[1] ?? 0) * 1000n;
}

async function kernelFigures(directory: string): Promise<Kernel> {
  const at = (name: string): string => path.join(directory, name);
  const [cpu, memory, usage, swap] = [await lines(at('cpu.stat')), await lines(at('memory.stat')), await number(at('memory.current')), await number(at('memory.swap.current'))];
  const counters: Record<string, bigint> = {
    cpu: (cpu.get('usage_usec') ?? 0n) * 1000n,
    pageFaults: memory.get('pgfault') ?? 0n,
    majorFaults: memory.get('pgmajfault') ?? 0n,
  };
  for (const resource of ['cpu', 'memory', 'io']) for (const kind of ['some', 'full']) counters[`${resource} ${kind}`] = await stalled(directory, resource, kind);
  return { counters, gauges: { usage, workingSet: usage - (memory.get('inactive_file') ?? 0n), rss: memory.get('anon') ?? 0n, swap } };
}

type Figures = Pick<ContainerStats__Output, 'cpu' | 'memory' | 'io'> & { readonly swap?: ContainerStats__Output['swap'] };

const value = (wrapped: { value: string } | null | undefined): bigint => BigInt(wrapped?.value ?? -1);

function told({ cpu, memory, io, swap }: Figures): Kernel {
  const counters: Record<string, bigint> = {
    cpu: value(cpu?.usage_core_nano_seconds),
    pageFaults: value(memory?.page_faults),
    majorFaults: value(memory?.major_page_faults),
  };
  for (const [resource, psi] of [['cpu', cpu?.psi], ['memory', memory?.psi], ['io', io?.psi]] as const) {
    counters[`${resource} some`] = BigInt(psi?.Some?.Total ?? -1);
    counters[`${resource} full`] = BigInt(psi?.Full?.Total ?? -1);
  }
  const gauges = { usage: value(memory?.usage_bytes), workingSet: value(memory?.working_set_bytes), rss: value(memory?.rss_bytes), ...(swap && { swap: value(swap.swap_usage_bytes) }) };
  return { counters, gauges };
}

/** A pod's interface as the kernel counts it for one of its processes. */
async function interfaceFigures(pid: number): Promise<Record<string, bigint>> {
  const [, counters = ''] = /^\s*eth0:\s*(.*)$/m.exec(await readFile(`/proc/${pid}/net/dev`, 'utf8')) ?? [];
  const fields = counters.split(/\s+/).map(BigInt);
  return { rxBytes: fields[0] ?? -1n, rxErrors: fields[2] ?? -1n, txBytes: fields[8] ?? -1n, txErrors: fields[10] ?? -1n };
}

function toldInterface({ network }: LinuxPodSandboxStats__Output): Record<string, bigint> {
  const eth0 = network?.default_interface;
  return { rxBytes: value(eth0?.rx_bytes), rxErrors: value(eth0?.rx_errors), txBytes: value(eth0?.tx_bytes), txErrors: value(eth0?.tx_errors) };
}

function expectBetween(what: string, before: Readonly<Record<string, bigint>>, middle: Readonly<Record<string, bigint>>, after: Readonly<Record<string, bigint>>): void {
  for (const [name, figure] of Object.entries(middle)) {
    const [low, high] = [before[name] ?? 0n, after[name] ?? 0n];
    if (figure < low || figure > high) throw new Error(`${what}: ${name} is ${figure}, but the kernel had ${low} before and ${high} after`);
  }
}

async function each<T>(subjects: readonly Subject[], read: (subject: Subject) => Promise<T>): Promise<Map<string, T>> {
  const found = new Map<string, T>();
  for (const subject of subjects) found.set(subject.id, await read(subject));
  return found;
}

async function startAll(): Promise<{ pods: Pod[]; subjects: Subject[] }> {
  const pods: Pod[] = [];
  const subjects: Subject[] = [];
  for (let index = 0; index < PODS; index += 1) {
    const pod = await stage.kubelet.runPod();
    pods.push(pod);
    for (let container = 0; container < CONTAINERS_PER_POD; container += 1) {
      const id = await stage.kubelet.run(pod, { name: `load-${container}`, image: stage.ref('busybox'), command: ['sh', '-c', load(`${stage.daemon.network.prefix}1`)] });
      const pid = await stage.kubelet.pidOf(id);
      const [, , cgroup = ''] = (await readFile(`/proc/${pid}/cgroup`, 'utf8')).trim().split(':');
      subjects.push({ id, pid, cgroup: path.join('/sys/fs/cgroup', cgroup) });
    }
  }
  return { pods, subjects };
}

async function allStats(): Promise<Map<string, ContainerStats__Output>> {
  const { stats } = await stage.cri.call('ListContainerStats', {});
  return new Map(stats.map((entry) => [entry.attributes?.id ?? '', entry]));
}

test('figures of 50 containers under load are those of the kernel', { timeout: 600_000 }, async () => {
  const { pods, subjects } = await startAll();
  expect(subjects).toHaveLength(PODS * CONTAINERS_PER_POD);

  // Counters only grow: what was told lies between what `cat` gave before and after.
  const before = await each(subjects, ({ cgroup }) => kernelFigures(cgroup));
  const stats = await allStats();
  const after = await each(subjects, ({ cgroup }) => kernelFigures(cgroup));
  for (const { id } of subjects) {
    const entry = stats.get(id);
    if (entry === undefined) throw new Error(`no statistics of ${id}`);
    expectBetween(id, before.get(id)?.counters ?? {}, told(entry).counters, after.get(id)?.counters ?? {});
  }

  // So do a pod's cgroup and its interface.
  for (const [index, pod] of pods.entries()) {
    const { pid, cgroup } = subjects[index * CONTAINERS_PER_POD] ?? { pid: 0, cgroup: '' };
    const parent = path.dirname(cgroup);
    const [first, firstInterface] = [await kernelFigures(parent), await interfaceFigures(pid)];
    const { stats: podStats } = await stage.cri.call('PodSandboxStats', { pod_sandbox_id: pod.id });
    const linux = podStats?.linux;
    if (linux === null || linux === undefined) throw new Error(`no statistics of pod ${pod.id}`);
    const [second, secondInterface] = [await kernelFigures(parent), await interfaceFigures(pid)];
    expectBetween(`pod ${index}`, first.counters, told(linux).counters, second.counters);
    expectBetween(`interface of pod ${index}`, firstInterface, toldInterface(linux), secondInterface);
    expect(value(linux.process?.process_count)).toBeGreaterThanOrEqual(BigInt(CONTAINERS_PER_POD));
    expect(firstInterface['rxBytes']).toBeGreaterThan(0n);
  }

  // The use over a window is there for all of them, and those that work have some.
  await new Promise((resolve) => setTimeout(resolve, 1500));
  const later = await allStats();
  const rates = subjects.map(({ id }) => value(later.get(id)?.cpu?.usage_nano_cores));
  expect(rates.filter((rate) => rate < 0n)).toEqual([]);
  expect(rates.reduce((sum, rate) => sum + rate, 0n)).toBeGreaterThan(0n);

  // Frozen, nothing moves any more: every figure is equal.
  for (const { cgroup } of subjects) await writeFile(path.join(cgroup, 'cgroup.freeze'), '1');
  for (const { id, cgroup } of subjects) {
    await eventually(`the figures of ${id} equal the kernel's`, async () => {
      const entry = (await stage.cri.call('ContainerStats', { container_id: id })).stats;
      const kernel = await kernelFigures(cgroup);
      const same = entry !== null && describeFigures(told(entry)) === describeFigures(kernel);
      return same ? true : undefined;
    });
  }
  await expectLayersMeasured(subjects);
  for (const { cgroup } of subjects) await writeFile(path.join(cgroup, 'cgroup.freeze'), '0');
  for (const pod of pods) await stage.kubelet.removePod(pod);
});

/** Pressure goes on while a frozen task waits, so of the counters those of pressure are left out. */
function describeFigures({ counters, gauges }: Kernel): string {
  return Object.entries({ ...counters, ...gauges }).filter(([name]) => !name.includes(' ')).map(([name, figure]) => `${name} ${figure}`).toSorted().join('\n');
}

async function expectLayersMeasured(subjects: readonly Subject[]): Promise<void> {
  for (const { id } of subjects.slice(0, 5)) {
    const upper = path.join(stage.daemon.root, 'containers', id, 'upper');
    const du = (flag: string): bigint => BigInt(execFileSync('du', ['-s', flag, upper], { encoding: 'utf8' }).split('\t')[0] ?? '');
    await eventually(`the writable layer of ${id} is measured`, async () => {
      const { stats } = await stage.cri.call('ContainerStats', { container_id: id });
      const layer = stats?.writable_layer;
      return value(layer?.used_bytes) === du('-B1') && value(layer?.inodes_used) === du('--inodes') ? true : undefined;
    }, 120_000);
  }
}
