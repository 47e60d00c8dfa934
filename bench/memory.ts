/** Proportional set sizes: what processes cost in memory, pages that are shared counted by their share. */

import { readFile, readdir, readlink } from 'node:fs/promises';
import { execAndEndPod, startPod } from './cycle.ts';
import type { RunningPod, Subject } from './cycle.ts';

export interface Memory {
  readonly pods: number;
  /** KiB for each pod with one container: supervisors and sandbox processes, without the container's own. */
  readonly perPod: number;
  readonly perPodProcesses: number;
  /** KiB of the daemon and the helpers that are its children. */
  readonly daemon: number;
}

/** Runs some pods with a container each and measures while they run. */
export async function measureMemory(subject: Subject, daemonPid: number, count: number): Promise<Memory> {
  const pods: RunningPod[] = [];
  for (let number = 0; number < count; number += 1) pods.push(await startPod(subject));
  const supervisors = new Set<number>();
  for (const pod of pods) for (const pid of await processesFor(subject, pod)) supervisors.add(pid);
  const daemon = [daemonPid, ...(await childrenOf(daemonPid))].filter((pid) => pid > 0 && !supervisors.has(pid));
  const memory = {
    pods: count,
    perPod: (await totalPss([...supervisors])) / count,
    perPodProcesses: supervisors.size / count,
    daemon: await totalPss(daemon),
  };
  for (const pod of pods) await execAndEndPod(subject, pod);
  return memory;
}

/** The container's supervisor is its process's parent; the sandbox may have a process of its own with another. */
async function processesFor({ cri }: Subject, { podId, containerId }: RunningPod): Promise<number[]> {
  const container = pidIn((await cri.call('ContainerStatus', { container_id: containerId, verbose: true })).info);
  const sandbox = pidIn((await cri.call('PodSandboxStatus', { pod_sandbox_id: podId, verbose: true })).info);
  if (container === 0) throw new Error(`${containerId} tells no PID in its verbose status`);
  const parents = [await parentOf(container), ...(sandbox === 0 ? [] : [sandbox, await parentOf(sandbox)])];
  return parents.filter((pid) => pid > 1);
}

function pidIn(info: Readonly<Record<string, string>>): number {
  const pid = (JSON.parse(info['info'] ?? '{}') as { pid?: unknown }).pid;
  return typeof pid === 'number' ? pid : 0;
}

async function parentOf(pid: number): Promise<number> {
  return Number(/^PPid:\s*(\d+)/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
}

export async function childrenOf(parent: number): Promise<number[]> {
  if (parent === 0) return [];
  const lists = (await readdir(`/proc/${parent}/task`)).map((task) => readFile(`/proc/${parent}/task/${task}/children`, 'utf8').catch(() => ''));
  return (await Promise.all(lists)).join(' ').split(/\s+/).filter((pid) => pid !== '').map(Number);
}

async function totalPss(pids: readonly number[]): Promise<number> {
  let total = 0;
  for (const pid of pids) total += Number(/^Pss:\s*(\d+) kB/m.exec(await readFile(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0);
  return total;
}

/** The process that listens on a Unix socket, in whatever network namespace; 0 when it is not found. */
export async function listenerOf(socketPath: string): Promise<number> {
  const seen = new Map<string, string | undefined>();
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const namespace = await readlink(`/proc/${pid}/ns/net`).catch(() => '');
    if (!seen.has(namespace)) seen.set(namespace, await listeningInode(pid, socketPath));
    const inode = seen.get(namespace);
    if (inode !== undefined && (await holds(pid, `socket:[${inode}]`))) return Number(pid);
  }
  return 0;
}

async function listeningInode(pid: string, socketPath: string): Promise<string | undefined> {
  const table = await readFile(`/proc/${pid}/net/unix`, 'utf8').catch(() => '');
  // Num RefCount Protocol Flags Type St Inode Path; flag 0x10000 is "accepts connections".
  const line = table.split('\n').map((entry) => entry.trim().split(/\s+/)).find((fields) => fields[7] === socketPath && fields[3] === '00010000');
  return line?.[6];
}

async function holds(pid: string, target: string): Promise<boolean> {
  const numbers = await readdir(`/proc/${pid}/fd`).catch(() => []);
  const targets = await Promise.all(numbers.map((number) => readlink(`/proc/${pid}/fd/${number}`).catch(() => '')));
  return targets.includes(target);
}
