/**
 * Measures how fast a container's output gets into its log, on a Berth of its own and, given --peer SOCKET,
 * beside it on another CRI runtime: `BERTHD=$PWD/dist/berthd node bench/logs.ts --peer SOCKET`, as root.
 *
 * The program copies lines of 100 bytes from memory. The time is that between the first and the last entry, by
 * their own stamps; every line is counted.
 */

import { createReadStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { cpus, release } from 'node:os';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { inOwnWorld } from '../conformance/harness/world.ts';
import { percentile } from './report.ts';
import { remove, run, withRuntimes } from './subjects.ts';
import type { Runtime } from './subjects.ts';

const LINE_BYTES = 100;
const PART_BYTES = 32 << 20;
const say = (text: string): void => void process.stdout.write(`${text}\n`);

const { values: options } = parseArgs({
  options: {
    peer: { type: 'string' },
    rounds: { type: 'string', default: '5' },
    /** MiB of lines in a round. */
    size: { type: 'string', default: '256' },
    'cni-bin-dir': { type: 'string', default: '/usr/lib/cni' },
  },
});

/** Nanoseconds since the epoch. */
function stamp(entry: string): bigint {
  const [, second = '', fraction = ''] = /^([-\dT:]{19})\.?(\d*)/.exec(entry) ?? [];
  return BigInt(Date.parse(`${second}Z`)) * 1_000_000n + BigInt(fraction.padEnd(9, '0').slice(0, 9));
}

async function readLog(path: string): Promise<{ lines: number; nanoseconds: bigint }> {
  let lines = 0;
  let first = '';
  let last = '';
  for await (const line of createInterface({ input: createReadStream(path, { highWaterMark: 1 << 20 }) })) {
    if (lines === 0) first = line;
    last = line;
    lines += 1;
  }
  return { lines, nanoseconds: stamp(last) - stamp(first) };
}

/** MB/s of payload. */
async function measure(runtime: Runtime): Promise<number> {
  const parts = Math.max(1, Math.round((Number(options.size) << 20) / PART_BYTES));
  const lines = Math.floor(PART_BYTES / LINE_BYTES);
  const text = 'x'.repeat(LINE_BYTES - 1);
  const script = `yes ${text} | head -n ${lines} >/dev/shm/part; exec cat ${'/dev/shm/part '.repeat(parts)}`;
  const running = await run(runtime, ['sh', '-c', script]);
  for (;;) {
    const { status } = await runtime.cri.call('ContainerStatus', { container_id: running.container });
    if (status?.state === 'CONTAINER_EXITED') break;
    await sleep(50);
  }
  const read = await readLog(running.log);
  if (read.lines !== lines * parts) throw new Error(`${runtime.name}: ${read.lines} lines of ${lines * parts}`);
  await remove(runtime, running);
  await rm(running.log, { force: true });
  return (read.lines * LINE_BYTES * 1000) / Number(read.nanoseconds);
}

async function bench(): Promise<number> {
  await withRuntimes({ peer: options.peer, cniBinDir: options['cni-bin-dir'] }, async (runtimes) => {
    say(`${runtimes.map(({ name, version }) => `${name} ${version}`).join(' beside ')}; Linux ${release()}, ${cpus().length} cores; ${options.size} MiB in lines of ${LINE_BYTES} bytes`);
    const rates = runtimes.map((): number[] => []);
    for (let round = 0; round < Number(options.rounds); round += 1) {
      for (const [at, runtime] of runtimes.entries()) rates[at]?.push(await measure(runtime));
    }
    const medians = rates.map((values) => percentile(values, 0.5));
    for (const [at, runtime] of runtimes.entries()) {
      const values = rates[at] ?? [];
      say(`${runtime.name.padEnd(12)} MB/s p50 ${(medians[at] ?? 0).toFixed(0)}, of ${Math.min(...values).toFixed(0)} to ${Math.max(...values).toFixed(0)}`);
    }
    if (medians[1] !== undefined) say(`ratio ${((medians[0] ?? 0) / medians[1]).toFixed(1)}`);
  });
  return 0;
}

await inOwnWorld({ pid: false }, bench);
