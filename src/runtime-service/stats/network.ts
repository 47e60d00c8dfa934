import type { NetworkUsage } from '../../cri-server/generated/runtime/v1/NetworkUsage.ts';
import { readKernelList } from '../../cgroup/kernel-file.ts';
import { wrapped } from './usage.ts';

/** The counters of one interface. Decimal, because a fast one passes 2^53 bytes. */
export interface InterfaceCounters {
  readonly name: string;
  readonly rxBytes: string;
  readonly rxPackets: string;
  readonly rxErrors: string;
  readonly rxDropped: string;
  readonly txBytes: string;
  readonly txPackets: string;
  readonly txErrors: string;
  readonly txDropped: string;
}

/** `NAME: ` and sixteen counters per line, below two lines of headings (proc_pid_net(5)). */
export function parseNetDev(text: string): InterfaceCounters[] {
  return text.split('\n').flatMap((line) => {
    const match = /^\s*([^:\s]+(?::[^:\s]+)?):\s*(\d.*)$/.exec(line);
    if (match === null) return [];
    const [, name = '', counters = ''] = match;
    const at = counters.trim().split(/\s+/);
    const counter = (index: number): string => at[index] ?? '0';
    return [{
      name,
      rxBytes: counter(0), rxPackets: counter(1), rxErrors: counter(2), rxDropped: counter(3),
      txBytes: counter(8), txPackets: counter(9), txErrors: counter(10), txDropped: counter(11),
    }];
  });
}

/** The interfaces that a process sees, without the loopback; undefined when it is gone. */
export function interfacesOf(pid: number): InterfaceCounters[] | undefined {
  const text = readKernelList(`/proc/${pid}/net/dev`);
  return text === undefined || text === '' ? undefined : parseNetDev(text).filter(({ name }) => name !== 'lo');
}

/** CNI's name of a pod's interface, unless told otherwise; without one of that name, the first. */
export function networkUsage(interfaces: readonly InterfaceCounters[], timestamp: string): NetworkUsage {
  const usages = interfaces.map((counters) => ({
    name: counters.name,
    rx_bytes: wrapped(counters.rxBytes),
    rx_errors: wrapped(counters.rxErrors),
    tx_bytes: wrapped(counters.txBytes),
    tx_errors: wrapped(counters.txErrors),
  }));
  return { timestamp, default_interface: usages.find(({ name }) => name === 'eth0') ?? usages[0] ?? null, interfaces: usages };
}
