/** Which variant of its architecture this node's processor is, from what the kernel says of it. */

import { readFileSync } from 'node:fs';

/**
 * The levels of the x86-64 psABI, each with what it adds, in the kernel's words for it (`pni` is SSE3, `abm`
 * holds LZCNT). Go's GOAMD64 and the variants of image indexes are the same levels.
 */
const levels: readonly (readonly [string, readonly string[]])[] = [
  ['v2', ['cx16', 'lahf_lm', 'pni', 'popcnt', 'sse4_1', 'sse4_2', 'ssse3']],
  ['v3', ['abm', 'avx', 'avx2', 'bmi1', 'bmi2', 'f16c', 'fma', 'movbe', 'xsave']],
  ['v4', ['avx512bw', 'avx512cd', 'avx512dq', 'avx512f', 'avx512vl']],
];

/** `v3`, or empty for the least variant there is. `architecture` as Go names it. */
export function processorVariant(architecture: string): string {
  if (architecture !== 'amd64' && architecture !== 'arm') return '';
  return variantOf(architecture, cpuInfo());
}

/** `text` is /proc/cpuinfo; empty where it cannot be read, and then the answer is one that is sure to run. */
export function variantOf(architecture: 'amd64' | 'arm', text: string): string {
  return architecture === 'amd64' ? amd64Level(text) : armVersion(text);
}

/** A level counts when every processor of the node has it: they may differ in a virtual machine. */
function amd64Level(text: string): string {
  const processors = [...text.matchAll(/^flags\s*:(.*)$/gm)].map(([, flags = '']) => new Set(flags.trim().split(/\s+/)));
  let reached = '';
  for (const [level, features] of levels) {
    const everywhere = processors.length > 0 && processors.every((flags) => features.every((feature) => flags.has(feature)));
    if (!everywhere) break;
    reached = level;
  }
  return reached;
}

/** 32-bit arm. A version 8 processor runs version 7 programs, and 32-bit images end at 8. */
function armVersion(text: string): string {
  const versions = [...text.matchAll(/^CPU architecture\s*:\s*([0-9]+)/gm)].map(([, version]) => Number(version));
  const least = Math.min(...versions, 8);
  return versions.length === 0 || least < 5 ? 'v5' : `v${least}`;
}

function cpuInfo(): string {
  try {
    return readFileSync('/proc/cpuinfo', 'utf8');
  } catch {
    return '';
  }
}
