/** A node whose cgroup v2 lacks controllers, as one that boots with version 1 beside it. */

import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { unifiedMount } from '../harness/cgroup-base.ts';
import { berthdCommand, prepareDaemon } from '../harness/daemon.ts';
import { busybox } from '../harness/images.ts';
import { useStage } from '../harness/stage.ts';

const run = promisify(execFile);
const NEEDED = ['cpu', 'cpuset', 'io', 'memory', 'pids'];

const stage = useStage({ images: { busybox } });

/** Those of the needed controllers that this machine's v2 does not offer; skips the test where it offers all. */
async function missingHere(skip: (note: string) => never): Promise<string[]> {
  const offered = new Set((await readFile(path.join(unifiedMount(), 'cgroup.controllers'), 'utf8')).trim().split(' '));
  const missing = NEEDED.filter((name) => !offered.has(name));
  return missing.length === 0 ? skip('this machine offers every controller') : missing;
}

/** `berth`, from where berthd is. */
async function berth(...args: string[]): Promise<{ readonly code: number; readonly output: string }> {
  const [program, ...first] = berthdCommand();
  const command = first.length === 0 ? [path.join(path.dirname(program), 'berth')] : [program, ...first.map((word) => word.replace(/main\.ts$/, 'cli/main.ts'))];
  return run(command[0] ?? '', [...command.slice(1), ...args]).then(
    ({ stdout }) => ({ code: 0, output: stdout }),
    (error: unknown) => ({ code: Number((error as { code?: unknown }).code), output: String((error as { stdout?: unknown }).stdout) }),
  );
}

test('berthd does not start there, and says why and what to do', async ({ skip }) => {
  const missing = await missingHere(skip);
  const daemon = await prepareDaemon({ enforceLimits: true });
  try {
    await expect(daemon.start()).rejects.toThrow(/berthd ended with 1/);
    const said = daemon.log.join('\n');
    for (const name of missing) expect(said).toMatch(new RegExp(`limits would be not enforced.* ${name} \\(`));
    expect(said).toMatch(/systemd\.unified_cgroup_hierarchy=1 cgroup_no_v1=all.*--allow-missing-controllers/);
  } finally {
    await daemon.dispose();
  }
});

test('where that is accepted, Status names each limit that is not enforced, and pods run', async ({ skip }) => {
  const missing = await missingHere(skip);
  const { status, info } = await stage.cri.call('Status', { verbose: true });
  const ready = status?.conditions.find(({ type }) => type === 'RuntimeReady');
  expect(ready).toMatchObject({ status: true, reason: 'LimitsNotEnforced' });
  for (const name of missing) expect(ready?.message).toMatch(new RegExp(` ${name} \\([A-Za-z/ ]+\\)`));
  expect(JSON.parse(info['cgroup'] ?? '{}')).toMatchObject({ driver: 'cgroupfs', missing });
  const { kubelet } = stage;
  const pod = await kubelet.runPod();
  const linux = { resources: { memory_limit_in_bytes: '33554432', cpu_quota: '50000', cpu_period: '100000' } };
  const { status: ended } = await kubelet.runToEnd(pod, { image: stage.ref('busybox'), command: ['true'], linux });
  expect(ended).toMatchObject({ exit_code: 0 });
  await kubelet.removePod(pod);
});

test('berth check names each of them, as missing or, where that is accepted, as a limitation', async ({ skip }) => {
  const missing = await missingHere(skip);
  for (const [flags, state] of [[[], 'missing'], [['--allow-missing-controllers'], 'limited']] as const) {
    const { output } = await berth('check', '--json', ...flags);
    const { checks } = JSON.parse(output) as { checks: { name: string; state: string; cost: string }[] };
    for (const name of missing) {
      expect(checks.find((check) => check.name === `controller ${name}`)).toMatchObject({ state, cost: expect.stringMatching(/^not enforced: \w+/) as string });
    }
  }
});
