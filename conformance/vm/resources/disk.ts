/** The limit on a disk's throughput. */

import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { textOf } from '../../harness/cri-log.ts';
import type { Pod } from '../../harness/kubelet.ts';
import type { Stage } from '../../harness/stage.ts';
import { eventually } from '../../harness/wait.ts';
import { directoryOf, readFiles } from './cgroup-files.ts';
import { MIB } from './limits.ts';

/** The machine's disk at /disk, as `major:minor`. */
async function disk(): Promise<string> {
  const { dev } = await stat('/disk');
  // glibc's encoding, for numbers as small as these.
  return `${(dev >> 8) & 0xfff}:${dev & 0xff}`;
}

export function diskLimitsHold(stage: Stage): void {
  test('writes to a disk are held to their limit', async () => {
    expect(await readFile('/proc/self/mounts', 'utf8')).toMatch(/ \/disk ext4 /);
    const { kubelet } = stage;
    const directory = await mkdtemp('/disk/io-');
    const pod = await kubelet.runPod();
    const device = await disk();
    const write = 'dd if=/dev/zero of=/data/file bs=64k count=64 conv=fsync 2>/dev/null';
    const command = ['sh', '-c', `cut -d. -f1 /proc/uptime; ${write}; cut -d. -f1 /proc/uptime; sleep 1000`];
    const mounts = [{ host_path: directory, container_path: '/data' }];
    const linux = { resources: { unified: { 'io.max': `${device} wbps=${MIB}` } } };
    const id = await kubelet.run(pod, { image: stage.ref('busybox'), command, mounts, linux });
    expect((await readFiles(await directoryOf(stage, id), ['io.max']))['io.max']).toBe(`${device} rbps=max wbps=${MIB} riops=max wiops=max`);
    const seconds = await written(stage, pod);
    process.stdout.write(`disk: 4 MiB at 1 MiB a second took ${seconds} s\n`);
    // A slow machine takes longer, one without a limit none of it.
    expect(seconds).toBeGreaterThanOrEqual(3);
    await kubelet.removePod(pod);
    await rm(directory, { recursive: true });
  });
}

async function written(stage: Stage, pod: Pod): Promise<number> {
  return eventually('4 MiB are written', async () => {
    const [from, to] = textOf(await stage.kubelet.logs(pod), 'stdout').split('\n').filter((line) => line !== '');
    return to === undefined ? undefined : Number(to) - Number(from);
  });
}
