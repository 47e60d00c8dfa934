import { describe, expect, test } from 'vitest';
import { chooseEntry } from './manifest.ts';
import type { ImageIndex } from './manifest.ts';
import { normalizePlatform } from './platform.ts';
import { processorVariant, variantOf } from './processor.ts';

const v1 = 'fpu cx8 sse sse2 lm';
const v2 = `${v1} cx16 lahf_lm pni popcnt sse4_1 sse4_2 ssse3`;
const v3 = `${v2} abm avx avx2 bmi1 bmi2 f16c fma movbe xsave`;
const v4 = `${v3} avx512bw avx512cd avx512dq avx512f avx512vl`;
const x86 = (...flags: readonly string[]): string => flags.map((list, n) => `processor\t: ${n}\nmodel name\t: X\nflags\t\t: ${list}\nbugs\t\t: none\n\n`).join('');

describe('the level of an x86-64 processor', () => {
  test.each([
    ['plain', [v1], ''],
    ['v2', [v2], 'v2'],
    ['v3', [v3], 'v3'],
    ['v4', [v4], 'v4'],
    ['v4 without one feature of v2', [v4.replace(' popcnt', '')], ''],
    ['v3 without LZCNT', [v3.replace(' abm', '')], 'v2'],
    ['the least of all processors', [v4, v2, v3], 'v2'],
    ['unknown', [], ''],
  ])('%s', (_, flags, level) => {
    expect(variantOf('amd64', x86(...flags))).toBe(level);
  });
});

test.each([
  ['CPU architecture: 7\n', 'v7'],
  ['CPU architecture: 8\nCPU architecture: 8\n', 'v8'],
  ['CPU architecture: 6\n', 'v6'],
  ['CPU architecture: 9\n', 'v8'],
  ['', 'v5'],
])('arm with %j is %s', (text, variant) => {
  expect(variantOf('arm', text)).toBe(variant);
});

test('other architectures have none', () => {
  expect(processorVariant('s390x')).toBe('');
});

describe('of the variants of an image the best that runs is taken', () => {
  const index = (architecture: string, ...variants: readonly string[]): ImageIndex => ({
    kind: 'index',
    entries: variants.map((variant) => ({
      descriptor: { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: variant === '' ? 'plain' : variant, size: 1 },
      platform: { os: 'linux', architecture, variant },
    })),
  });
  const chosen = (architecture: 'amd64' | 'arm', cpu: string, ...variants: readonly string[]): string =>
    chooseEntry(index(architecture, ...variants), normalizePlatform({ os: 'linux', architecture, variant: variantOf(architecture, cpu) }), 'x').descriptor.digest;

  test.each<[string, readonly string[], string]>([
    [v1, ['v2', 'v3', ''], 'plain'],
    [v2, ['', 'v2', 'v3'], 'v2'],
    [v3, ['v4', 'v3', 'v2', ''], 'v3'],
    [v4, ['', 'v1'], 'plain'],
    [v3, ['v4', 'v1'], 'v1'],
  ])('amd64 with %s among %j', (flags, variants, best) => {
    expect(chosen('amd64', x86(flags), ...variants)).toBe(best);
  });

  test.each([
    ['7', ['v6', 'v7', 'v8'], 'v7'],
    ['7', ['v5', 'v6', 'v8'], 'v6'],
    ['6', ['v7', 'v5'], 'v5'],
  ])('arm %s among %j', (version, variants, best) => {
    expect(chosen('arm', `CPU architecture: ${version}\n`, ...variants)).toBe(best);
  });

  test('what needs more than there is, is refused', () => {
    expect(() => chosen('amd64', x86(v2), 'v3', 'v4')).toThrow(/no image for linux\/amd64\/v2, only for linux\/amd64\/v3, linux\/amd64\/v4/);
    expect(() => chosen('arm', 'CPU architecture: 6\n', 'v7')).toThrow(/linux\/arm\/v6/);
  });
});
