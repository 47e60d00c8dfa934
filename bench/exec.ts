/**
 * Times ExecSync on a Berth of its own and, given --peer SOCKET, beside it on another CRI runtime: one after
 * the other in one container, and as many probes at a steady pace over many containers:
 * `BERTHD=$PWD/dist/berthd node bench/exec.ts --peer SOCKET`, as root.
 */

import { cpus, release } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { inOwnWorld } from '../conformance/harness/world.ts';
import { percentile } from './report.ts';
import { remove, run, withRuntimes } from './subjects.ts';
import type { Running, Runtime } from './subjects.ts';

const say = (text: string): void => void process.stdout.write(`${text}\n`);

const { values: options } = parseArgs({
  options: {
    peer: { type: 'string' },
    rounds: { type: 'string', default: '200' },
    /** The probes of the steady pace; 0 leaves it out. */
    probes: { type: 'string', default: '2000' },
    seconds: { type: 'string', default: '20' },
    containers: { type: 'string', default: '20' },
    'cni-bin-dir': { type: 'string', default: '/usr/lib/cni' },
  },
});

async function exec({ cri }: Runtime, { container }: Running): Promise<number> {
  const began = performance.now();
  const { exit_code } = await cri.call('ExecSync', { container_id: container, cmd: ['true'], timeout: 30 });
  if (exit_code !== 0) throw new Error(`true exited with ${exit_code}`);
  return performance.now() - began;
}

/** Turn by turn in blocks, so that a slow moment of the machine meets both. */
async function oneByOne(runtimes: readonly Runtime[]): Promise<void> {
  const block = 10;
  const measured = await Promise.all(runtimes.map(async (runtime) => ({ runtime, container: await run(runtime, ['sleep', '100000']), times: [] as number[] })));
  for (const { runtime, container } of measured) for (let warm = 0; warm < block; warm += 1) await exec(runtime, container);
  for (let round = 0; round < Number(options.rounds); round += block) {
    for (const { runtime, container, times } of measured) for (let turn = 0; turn < block; turn += 1) times.push(await exec(runtime, container));
  }
  say(`\nExecSync, one by one, ms${'p50'.padStart(20)}${'p90'.padStart(10)}${'p99'.padStart(10)}`);
  for (const { runtime, container, times } of measured) {
    say(`${runtime.name.padEnd(24)}${[0.5, 0.9, 0.99].map((share, at) => percentile(times, share).toFixed(2).padStart(at === 0 ? 20 : 10)).join('')}`);
    await remove(runtime, container);
  }
  const [own, peer] = measured;
  if (own !== undefined && peer !== undefined) say(`p50 ratio ${(percentile(own.times, 0.5) / percentile(peer.times, 0.5)).toFixed(3)}`);
}

/** Each probe at its own moment, whether those before it have come back or not. */
async function steadyPace(runtime: Runtime): Promise<void> {
  const count = Number(options.probes);
  const pause = (Number(options.seconds) * 1000) / count;
  const containers: Running[] = [];
  for (let number = 0; number < Number(options.containers); number += 1) containers.push(await run(runtime, ['sleep', '100000']));
  const began = performance.now();
  const probes: Promise<number>[] = [];
  for (let number = 0; number < count; number += 1) {
    const early = began + number * pause - performance.now();
    if (early > 0) await sleep(early);
    const container = containers[number % containers.length];
    if (container !== undefined) probes.push(exec(runtime, container));
  }
  const times = await Promise.all(probes);
  const took = (performance.now() - began) / 1000;
  const figures = [0.5, 0.99, 1].map((share) => percentile(times, share).toFixed(1));
  say(`${runtime.name}: ${count} ExecSync over ${containers.length} containers in ${took.toFixed(1)} s; ms p50 ${figures[0]}, p99 ${figures[1]}, max ${figures[2]}`);
  for (const container of containers) await remove(runtime, container);
}

async function bench(): Promise<number> {
  await withRuntimes({ peer: options.peer, cniBinDir: options['cni-bin-dir'] }, async (runtimes) => {
    say(`${runtimes.map(({ name, version }) => `${name} ${version}`).join(' beside ')}; Linux ${release()}, ${cpus().length} cores`);
    await oneByOne(runtimes);
    const [own] = runtimes;
    if (own !== undefined && Number(options.probes) > 0) await steadyPace(own);
  });
  return 0;
}

await inOwnWorld({ pid: false }, bench);
