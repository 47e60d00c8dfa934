/** What berthd would be allowed to do, judged by what this command is. */
import { readFile } from 'node:fs/promises';
import { essential, optional, type Check } from './check.ts';

/** Capabilities whose absence is known to matter, by number (linux/capability.h), with the cost. */
const capabilities: readonly { readonly name: string; readonly bit: bigint; readonly cost: string; readonly needed: boolean }[] = [
  { name: 'CAP_SYS_ADMIN', bit: 21n, needed: true, cost: 'no mounts, no namespaces' },
  { name: 'CAP_NET_ADMIN', bit: 12n, needed: true, cost: 'no pod network' },
  { name: 'CAP_MKNOD', bit: 27n, needed: true, cost: 'image layers with devices and whiteouts cannot be unpacked' },
  { name: 'CAP_SYS_RESOURCE', bit: 24n, needed: false, cost: 'oom_score_adj cannot be lowered, rlimits cannot be raised' },
  { name: 'CAP_SETFCAP', bit: 31n, needed: false, cost: 'file capabilities in images are refused' },
];

export async function privilegeChecks(): Promise<Check[]> {
  const status = await readFile('/proc/self/status', 'utf8');
  const uid = process.getuid?.() ?? -1;
  const effective = effectiveCapabilities(status);
  return [
    essential({ area: 'privileges', name: 'root', found: `uid ${uid}` }, uid === 0, 'berthd runs as root; run this check as root too'),
    ...capabilities.map(({ name, bit, cost, needed }) => {
      const has = (effective & (1n << bit)) !== 0n;
      const parts = { area: 'privileges', name, found: has ? 'effective' : 'not effective' } as const;
      return needed ? essential(parts, has, cost) : optional(parts, has, cost);
    }),
  ];
}

/** The CapEff line of /proc/PID/status, proc_pid_status(5). */
export function effectiveCapabilities(status: string): bigint {
  const hex = /^CapEff:\s+([0-9a-f]+)$/m.exec(status)?.[1];
  return hex === undefined ? 0n : BigInt(`0x${hex}`);
}
