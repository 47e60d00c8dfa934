import { isIP } from 'node:net';

/** An address range in its canonical form: the network address, no host bits. */
export interface Cidr {
  readonly family: 4 | 6;
  readonly text: string;
}

/** Undefined when `text` is not ADDRESS/PREFIX, or has no room for a gateway and a pod. */
export function parseCidr(text: string): Cidr | undefined {
  const match = /^([^/]+)\/(\d{1,3})$/.exec(text);
  if (match === null) return undefined;
  const [, address = '', prefixText = ''] = match;
  const family = isIP(address);
  const prefix = Number(prefixText);
  if (family === 4 && prefix >= 1 && prefix <= 30) return { family, text: `${maskedIPv4(address, prefix)}/${prefix}` };
  if (family === 6 && !address.includes('%') && prefix >= 1 && prefix <= 126) {
    return { family, text: `${maskedIPv6(address, prefix)}/${prefix}` };
  }
  return undefined;
}

function maskedIPv4(address: string, prefix: number): string {
  const bits = toNumber(address.split('.').map(Number), 8);
  return fromNumber(mask(bits, 32, prefix), 4, 8).join('.');
}

function maskedIPv6(address: string, prefix: number): string {
  const bits = mask(toNumber(ipv6Groups(address), 16), 128, prefix);
  const groups = fromNumber(bits, 8, 16).map((group) => group.toString(16));
  return canonicalIPv6(groups.join(':'));
}

/** The URL parser expands an embedded IPv4 tail and compresses the longest run of zeros (RFC 5952). */
function canonicalIPv6(address: string): string {
  return new URL(`http://[${address}]/`).hostname.slice(1, -1);
}

function ipv6Groups(address: string): number[] {
  const [head = '', tail] = canonicalIPv6(address).split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => '0');
  return [...left, ...zeros, ...right].map((group) => Number.parseInt(group, 16));
}

function toNumber(parts: readonly number[], width: number): bigint {
  return parts.reduce((value, part) => (value << BigInt(width)) | BigInt(part), 0n);
}

function fromNumber(value: bigint, count: number, width: number): number[] {
  return Array.from({ length: count }, (_, index) => Number((value >> BigInt((count - 1 - index) * width)) & ((1n << BigInt(width)) - 1n)));
}

function mask(value: bigint, size: number, prefix: number): bigint {
  const host = BigInt(size - prefix);
  return (value >> host) << host;
}
