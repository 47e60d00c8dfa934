/** Swap, which a kubelet accepts only when it is told to. */
import { readFile } from 'node:fs/promises';
import { optional, type Check } from './check.ts';

const kubeletConfiguration = '/var/lib/kubelet/config.yaml';

export async function swapCheck(): Promise<Check> {
  const [swaps, kubelet] = await Promise.all([read('/proc/swaps'), read(kubeletConfiguration)]);
  return judgeSwap(swaps, kubelet);
}

/** By the texts of /proc/swaps (proc_swaps(5): a heading, then a line with the size in KiB third) and of the kubelet's configuration. */
export function judgeSwap(swaps: string, kubelet: string): Check {
  const sizes = swaps.trim().split('\n').slice(1).map((line) => Number(line.split(/\s+/)[2]));
  const mebibytes = Math.round(sizes.reduce((sum, size) => sum + size, 0) / 1024);
  const accepted = /^failSwapOn:\s*false\b/m.test(kubelet);
  const found = sizes.length === 0 ? 'none' : `${mebibytes} MiB${accepted ? ', accepted by the kubelet' : ''}`;
  const cost = `a kubelet does not start with swap on, unless ${kubeletConfiguration} has failSwapOn: false; or switch it off: swapoff -a`;
  return optional({ area: 'kernel', name: 'swap', found }, sizes.length === 0 || accepted, cost);
}

async function read(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '');
}
