/** Which entry of an image index runs on this node (image-spec image-index.md, "platform"). */

import { arch } from 'node:process';
import { processorVariant } from './processor.ts';

export interface Platform {
  readonly os: string;
  /** As Go names them: amd64, arm64, arm, riscv64, … */
  readonly architecture: string;
  /** e.g. `v8`; empty where the architecture has none. */
  readonly variant: string;
}

const goArchitecture: Readonly<Record<string, string>> = {
  x64: 'amd64',
  arm64: 'arm64',
  arm: 'arm',
  ia32: '386',
  ppc64: 'ppc64le',
  s390x: 's390x',
  riscv64: 'riscv64',
  loong64: 'loong64',
  mips64el: 'mips64le',
};

export function hostPlatform(): Platform {
  const architecture = goArchitecture[arch] ?? arch;
  return normalizePlatform({ os: 'linux', architecture, variant: processorVariant(architecture) });
}

/** Old names and implied variants, as the containerd platforms package normalises them. */
export function normalizePlatform(platform: Platform): Platform {
  const variant = platform.variant.toLowerCase();
  switch (platform.architecture.toLowerCase()) {
    case 'x86_64':
    case 'x86-64':
    case 'amd64':
      return { os: platform.os.toLowerCase(), architecture: 'amd64', variant: variant === 'v1' ? '' : variant };
    case 'aarch64':
    case 'arm64':
      return { os: platform.os.toLowerCase(), architecture: 'arm64', variant: variant === '' || variant === '8' ? 'v8' : variant };
    case 'armhf':
      return { os: platform.os.toLowerCase(), architecture: 'arm', variant: 'v7' };
    case 'armel':
      return { os: platform.os.toLowerCase(), architecture: 'arm', variant: 'v6' };
    case 'arm':
      return { os: platform.os.toLowerCase(), architecture: 'arm', variant: armVariant(variant) };
    default:
      return { os: platform.os.toLowerCase(), architecture: platform.architecture.toLowerCase(), variant };
  }
}

function armVariant(variant: string): string {
  if (variant === '') return 'v7';
  return variant.startsWith('v') ? variant : `v${variant}`;
}

/**
 * How well `offered` suits `host`: 0 not at all, higher is better. A lower variant of the host's own
 * architecture runs (v6 code on a v7 processor), a higher one does not; 32-bit arm on arm64 is left
 * out, since not every arm64 processor has it.
 */
export function platformRank(host: Platform, offered: Platform): number {
  const candidate = normalizePlatform(offered);
  if (candidate.os !== host.os || candidate.architecture !== host.architecture) return 0;
  const have = variantNumber(host.variant);
  const need = variantNumber(candidate.variant);
  return need > have ? 0 : 1 + need;
}

function variantNumber(variant: string): number {
  const digits = /^v?([0-9]+)/.exec(variant)?.[1];
  return digits === undefined ? 0 : Number(digits);
}

export function formatPlatform(platform: Platform): string {
  return [platform.os, platform.architecture, platform.variant].filter((part) => part !== '').join('/');
}
