/**
 * What a user namespace costs: pods with one and pods without, turn by turn on the same Berth. The sum of
 * RunPodSandbox, CreateContainer and StartContainer is what a kubelet waits for.
 */

import { randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';
import type { PodSandboxConfig } from '../src/cri-server/generated/runtime/v1/PodSandboxConfig.ts';
import { inOwnWorld } from '../conformance/harness/world.ts';
import { percentile } from './report.ts';
import { withRuntimes } from './subjects.ts';
import type { Runtime } from './subjects.ts';

const warmUp = 3;
const { values: options } = parseArgs({
  options: { rounds: { type: 'string', default: '60' }, 'cni-bin-dir': { type: 'string', default: '/usr/lib/cni' } },
});

const calls = ['RunPodSandbox', 'CreateContainer', 'StartContainer', 'StopPodSandbox', 'RemovePodSandbox'] as const;
type Samples = Record<(typeof calls)[number] | 'Run + Create + Start', number[]>;
const noSamples = (): Samples => Object.fromEntries([...calls, 'Run + Create + Start'].map((name) => [name, []])) as unknown as Samples;

const mapping = [{ container_id: 0, host_id: 200_000, length: 65_536 }];

async function podConfig(logs: string, user: boolean): Promise<PodSandboxConfig> {
  const uid = randomUUID();
  const log_directory = path.join(logs, uid);
  await mkdir(log_directory, { recursive: true });
  const userns_options = user ? { mode: 'POD' as const, uids: mapping, gids: mapping } : null;
  const namespace_options = { network: 'POD' as const, pid: 'CONTAINER' as const, ipc: 'POD' as const, userns_options };
  return {
    metadata: { name: 'bench', namespace: 'bench', uid, attempt: 0 },
    hostname: 'bench',
    log_directory,
    linux: { security_context: { namespace_options } },
  };
}

async function cycle({ cri, logs }: Runtime, user: boolean, samples: Samples): Promise<void> {
  const from = cri.timings.length;
  const sandbox_config = await podConfig(logs, user);
  const { pod_sandbox_id } = await cri.call('RunPodSandbox', { config: sandbox_config });
  const config = {
    metadata: { name: 'main', attempt: 0 },
    image: { image: 'docker.io/library/busybox:latest' },
    command: ['sleep', '1000'],
    log_path: 'main.log',
    linux: sandbox_config.linux ?? null,
  };
  const { container_id } = await cri.call('CreateContainer', { pod_sandbox_id, config, sandbox_config });
  await cri.call('StartContainer', { container_id });
  await cri.call('StopPodSandbox', { pod_sandbox_id });
  await cri.call('RemovePodSandbox', { pod_sandbox_id });
  const taken = new Map(cri.timings.slice(from).map(({ rpc, milliseconds }) => [String(rpc), milliseconds]));
  for (const name of calls) samples[name].push(taken.get(name) ?? Number.NaN);
  samples['Run + Create + Start'].push(calls.slice(0, 3).reduce((sum, name) => sum + (taken.get(name) ?? Number.NaN), 0));
}

async function measure(runtime: Runtime): Promise<void> {
  const samples = { without: noSamples(), with: noSamples() };
  for (let round = -warmUp; round < Number(options.rounds); round += 1) {
    const turns = round % 2 === 0 ? (['without', 'with'] as const) : (['with', 'without'] as const);
    for (const turn of turns) await cycle(runtime, turn === 'with', round < 0 ? noSamples() : samples[turn]);
  }
  process.stdout.write(`\n${runtime.name} ${runtime.version}, ${options.rounds} rounds, in ms\n`);
  for (const name of ['Run + Create + Start', ...calls] as const) {
    for (const share of [0.5, 0.1]) {
      const [without, withOne] = [percentile(samples.without[name], share), percentile(samples.with[name], share)];
      process.stdout.write(`${name.padEnd(22)} p${share * 100}  without ${without.toFixed(2).padStart(8)}   with ${withOne.toFixed(2).padStart(8)}   more ${(withOne - without).toFixed(2).padStart(7)}\n`);
    }
  }
}

await inOwnWorld({ pid: false }, async () => {
  await withRuntimes({ peer: undefined, cniBinDir: options['cni-bin-dir'] }, async ([runtime]) => {
    if (runtime !== undefined) await measure(runtime);
  });
  return 0;
});
