import type { CgroupWrite } from '../limits.ts';
import { variant } from './dbus/value.ts';
import type { UnitProperty } from './manager.ts';
import { unlimited } from './manager.ts';

/**
 * What a limit is to systemd (systemd.resource-control(5)), so that its next look at the unit does not undo it.
 * Files that systemd leaves alone have no property: hugetlb.*, io.max, memory.oom.group.
 */
export function unitProperties(writes: readonly Pick<CgroupWrite, 'file' | 'value'>[]): UnitProperty[] {
  return writes.flatMap(({ file, value }) => converters.get(file)?.(value.trim()) ?? []);
}

const converters: ReadonlyMap<string, (value: string) => UnitProperty[]> = new Map(Object.entries({
  'cpu.max': cpuMax,
  'cpu.weight': (value: string): UnitProperty[] => [['CPUWeight', variant('t', BigInt(value))]],
  'cpuset.cpus': (value: string): UnitProperty[] => [['AllowedCPUs', variant('ay', bitmap(value))]],
  'cpuset.mems': (value: string): UnitProperty[] => [['AllowedMemoryNodes', variant('ay', bitmap(value))]],
  'memory.max': (value: string): UnitProperty[] => [['MemoryMax', amount(value)]],
  'memory.high': (value: string): UnitProperty[] => [['MemoryHigh', amount(value)]],
  'memory.low': (value: string): UnitProperty[] => [['MemoryLow', amount(value)]],
  'memory.min': (value: string): UnitProperty[] => [['MemoryMin', amount(value)]],
  'memory.swap.max': (value: string): UnitProperty[] => [['MemorySwapMax', amount(value)]],
  'pids.max': (value: string): UnitProperty[] => [['TasksMax', amount(value)]],
  'io.weight': ioWeight,
} satisfies Record<string, (value: string) => UnitProperty[]>));

function amount(value: string): UnitProperty[1] {
  return variant('t', value === 'max' ? unlimited : BigInt(value));
}

/** systemd has the quota for a second; rounded up, the kernel's file gets the same number back for any period up to one second. */
function cpuMax(value: string): UnitProperty[] {
  const [quota = 'max', period = '100000'] = value.split(/\s+/);
  const perSecond = quota === 'max' ? unlimited : (BigInt(quota) * 1_000_000n + BigInt(period) - 1n) / BigInt(period);
  return [
    ['CPUQuotaPerSecUSec', variant('t', perSecond)],
    ['CPUQuotaPeriodUSec', variant('t', BigInt(period))],
  ];
}

/** The default's line; weights of single devices are left alone. */
function ioWeight(value: string): UnitProperty[] {
  const weight = /^(?:default )?(\d+)$/m.exec(value)?.[1];
  return weight === undefined ? [] : [['IOWeight', variant('t', BigInt(weight))]];
}

/** A list such as 0-3,8 as bits, from the lowest bit of the first byte on; 0-30:2/4 takes two of every four. */
function bitmap(list: string): Buffer {
  const numbers = list === '' ? [] : list.split(',').flatMap(numbersOf);
  const bits = Buffer.alloc(Math.floor(Math.max(-1, ...numbers) / 8) + 1);
  for (const number of numbers) {
    const at = Math.floor(number / 8);
    bits.writeUInt8(bits.readUInt8(at) | (1 << (number % 8)), at);
  }
  return bits;
}

function numbersOf(part: string): number[] {
  const [, first = '', last = first, used = '1', group = '1'] = /^(\d+)(?:-(\d+)(?::(\d+)\/(\d+))?)?$/.exec(part) ?? [];
  const numbers: number[] = [];
  for (let number = Number(first); number <= Number(last); number += 1) {
    if ((number - Number(first)) % Number(group) < Number(used)) numbers.push(number);
  }
  return numbers;
}
