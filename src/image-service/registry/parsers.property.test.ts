/**
 * Whatever the bytes: a parser answers, or throws an error of the catalogue that blames its input. Bounded; the
 * seed of a failure is printed. BERTH_FUZZ_RUNS asks for more.
 */

import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { BerthError } from '../../errors/catalogue.ts';
import type { ErrorCode } from '../../errors/catalogue.ts';
import { parseImageConfig } from '../image-config.ts';
import { formatReference, parseReference } from '../reference.ts';
import { parseChallenges } from './challenge.ts';
import { mediaType } from './descriptor.ts';
import { parseHostsFile } from './hosts-toml.ts';
import { chooseEntry, parseManifest } from './manifest.ts';
import { hostPlatform } from './platform.ts';

const numRuns = Number(process.env['BERTH_FUZZ_RUNS'] ?? '300');

vi.setConfig({ testTimeout: 60_000 + numRuns * 30 });

function blamesInput(codes: readonly ErrorCode[], parse: () => unknown): void {
  try {
    parse();
  } catch (failure) {
    if (!(failure instanceof BerthError)) throw failure;
    expect(codes).toContain(failure.code);
    expect(failure.message).not.toBe('');
  }
}

const hex = fc.string({ unit: fc.constantFrom(...'0123456789abcdef'.split('')), minLength: 64, maxLength: 64 });
const digest = fc.oneof(hex.map((text) => `sha256:${text}`), fc.string(), fc.constant('sha512:00'));
const mostly = <T>(right: fc.Arbitrary<T>) => fc.oneof({ weight: 9, arbitrary: right as fc.Arbitrary<unknown> }, { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 1 }) as fc.Arbitrary<unknown> });
const size = mostly(fc.oneof(fc.nat(), fc.double(), fc.bigInt().map(Number)));
const descriptor = (types: readonly string[]) =>
  fc.record(
    {
      mediaType: mostly(fc.constantFrom(...types)), digest: mostly(digest), size,
      platform: mostly(fc.record({ os: mostly(fc.constantFrom('linux', 'Linux', 'windows')), architecture: mostly(fc.constantFrom('amd64', 'arm64', 'x86_64', '')), variant: mostly(fc.string()) }, { requiredKeys: [] })),
    },
    { requiredKeys: [] },
  );
const layerTypes = ['application/vnd.oci.image.layer.v1.tar+gzip', 'application/vnd.docker.image.rootfs.diff.tar.gzip', 'text/plain'];
const manifest = fc.record(
  {
    schemaVersion: mostly(fc.constantFrom(2, 1)),
    mediaType: mostly(fc.constantFrom(...Object.values(mediaType), '')),
    config: mostly(descriptor([mediaType.ociConfig, mediaType.dockerConfig])),
    layers: mostly(fc.array(mostly(descriptor(layerTypes)), { maxLength: 5 })),
    manifests: mostly(fc.array(mostly(descriptor([mediaType.ociManifest, mediaType.ociIndex])), { maxLength: 5 })),
    annotations: mostly(fc.dictionary(fc.string(), mostly(fc.string()))),
  },
  { requiredKeys: [] },
);
const bytes = (value: unknown): Buffer => Buffer.from(JSON.stringify(value) ?? 'null');

describe('a manifest', () => {
  const parse = (content: Uint8Array, type: string) => () => {
    const parsed = parseManifest(content, type, 'it');
    if (parsed.kind === 'index') chooseEntry(parsed, hostPlatform(), 'it');
    else for (const { size: length } of [parsed.config, ...parsed.layers]) expect(Number.isSafeInteger(length) && length >= 0).toBe(true);
  };
  const codes: ErrorCode[] = ['REGISTRY_PROTOCOL', 'REGISTRY_NOT_FOUND'];

  test('of any bytes', () => fc.assert(fc.property(fc.uint8Array(), fc.string(), (content, type) => blamesInput(codes, parse(content, type))), { numRuns }));
  test('nearly right', () => fc.assert(fc.property(manifest, fc.constantFrom(...Object.values(mediaType), ''), (value, type) => blamesInput(codes, parse(bytes(value), type))), { numRuns }));
});

describe('an image config', () => {
  const config = fc.record(
    {
      rootfs: mostly(fc.record({ type: mostly(fc.constant('layers')), diff_ids: mostly(fc.array(mostly(digest), { maxLength: 4 })) }, { requiredKeys: [] })),
      config: mostly(fc.dictionary(fc.constantFrom('User', 'Env', 'Cmd', 'Entrypoint', 'WorkingDir', 'Volumes', 'StopSignal', 'Labels', '__proto__'), fc.jsonValue({ maxDepth: 1 }))),
    },
    { requiredKeys: [] },
  );
  const check = (content: Uint8Array): void => blamesInput(['REGISTRY_PROTOCOL'], () => parseImageConfig(content, 'it'));

  test('of any bytes', () => fc.assert(fc.property(fc.uint8Array(), check), { numRuns }));
  test('nearly right', () => fc.assert(fc.property(config, (value) => check(bytes(value))), { numRuns }));
});

describe('a reference', () => {
  const part = fc.string({ unit: fc.constantFrom(...'abzAZ019.-_:/@[]~ \u0000é'.split('')), maxLength: 40 });
  const text = fc.oneof(fc.string(), fc.string({ unit: 'binary' }), part, fc.tuple(part, hex).map(([name, hash]) => `${name}@sha256:${hash}`));

  test('is refused, or means the same when its full form is read again', () => {
    fc.assert(
      fc.property(text, (input) => {
        blamesInput(['INVALID_REFERENCE'], () => {
          const reference = parseReference(input);
          const full = formatReference(reference);
          expect(parseReference(full)).toEqual(reference);
          // It becomes a part of URLs and of paths.
          expect(full).not.toMatch(/[\s\0?#%\\]|\.\.\//);
          expect(reference.domain).not.toMatch(/\//);
        });
      }),
      { numRuns: numRuns * 2 },
    );
  });
});

describe('a hosts.toml', () => {
  const settings = fc.record(
    {
      capabilities: mostly(fc.array(fc.constantFrom('pull', 'resolve', 'push', 'nonsense'))), ca: mostly(fc.string()), client: mostly(fc.array(fc.array(fc.string()))),
      skip_verify: mostly(fc.boolean()), override_path: mostly(fc.boolean()), dial_timeout: mostly(fc.constantFrom('5s', '1m30s', '-1s', 'x')), header: mostly(fc.dictionary(fc.string(), fc.string())),
    },
    { requiredKeys: [] },
  );
  /** JSON's strings, numbers and booleans are TOML's too; what TOML does not have makes a file that does not parse. */
  const line = ([key, value]: readonly [string, unknown]): string => `${key} = ${JSON.stringify(value)}`;
  const file = fc.tuple(fc.oneof(fc.webUrl(), fc.string()), settings, mostly(fc.webUrl())).map(
    ([host, values, server]) => `server = ${JSON.stringify(server)}\n[host.${JSON.stringify(host)}]\n${Object.entries(values).map(line).join('\n')}\n`,
  );
  const check = (content: string): void =>
    blamesInput(['CONFIG_INVALID'], () => {
      for (const { origin, dialTimeout } of parseHostsFile(content, '/certs.d/h/hosts.toml', 'https://h').hosts) {
        expect(origin).toMatch(/^https?:\/\//);
        expect(dialTimeout).toBeGreaterThan(0);
      }
    });

  test('of any text', () => fc.assert(fc.property(fc.string({ unit: 'grapheme' }), check), { numRuns }));
  test('nearly right', () => fc.assert(fc.property(file, check), { numRuns }));
});

test('a challenge of any text is a list', () => {
  const text = fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom(...'Bearer,="\\ \tx'.split('')) }));
  fc.assert(fc.property(text, (header) => {
    for (const { scheme, parameters } of parseChallenges(header)) {
      expect(scheme).toBe(scheme.toLowerCase());
      expect(Object.values(parameters).every((value) => typeof value === 'string')).toBe(true);
    }
  }), { numRuns });
});
