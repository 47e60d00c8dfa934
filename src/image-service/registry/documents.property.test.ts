/**
 * Valid documents, changed as a careless program or an attacker would: keys twice, keys that JavaScript knows, numbers
 * beyond all bounds, nesting without end, bytes that are no UTF-8, values of other types, parts cut out or put in
 * twice. A parser answers or throws an error of the catalogue that blames its input, soon, in words that a log can hold,
 * and leaves nothing behind in the objects that all others are made from. BERTH_FUZZ_RUNS asks for more.
 */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { BerthError } from '../../errors/catalogue.ts';
import type { ErrorCode } from '../../errors/catalogue.ts';
import { parseImageConfig } from '../image-config.ts';
import { parseReference } from '../reference.ts';
import { formatIndex, parseIndex } from '../store/index-file.ts';
import { readAuthFile } from './docker-auth.ts';
import { mediaType } from './descriptor.ts';
import { parseHostsFile } from './hosts-toml.ts';
import { chooseEntry, parseManifest } from './manifest.ts';
import { hostPlatform } from './platform.ts';

const numRuns = Number(process.env['BERTH_FUZZ_RUNS'] ?? '400');
/** Milliseconds for one document: far more than any takes, far less than a parser that does not come to an end. */
const SOON = 5000;
/** Characters of an error, which is a line in a log. */
const READABLE = 4096;

vi.setConfig({ testTimeout: 60_000 + numRuns * 50 });

const digest = `sha256:${'0123456789abcdef'.repeat(4)}`;
const descriptor = { mediaType: mediaType.ociConfig, digest, size: 1234 };
const layer = { mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', digest, size: 4096, annotations: { 'org.example': 'x' } };
const manifest = { schemaVersion: 2, mediaType: mediaType.ociManifest, config: descriptor, layers: [layer, layer], annotations: { created: 'today' } };
const platform = { architecture: 'amd64', os: 'linux', variant: 'v2' };
const index = { schemaVersion: 2, mediaType: mediaType.ociIndex, manifests: [{ ...descriptor, mediaType: mediaType.ociManifest, platform }, { ...descriptor, mediaType: mediaType.dockerManifest }] };
const config = {
  architecture: 'amd64', os: 'linux', created: '2023-11-14T22:13:20Z',
  config: { User: '1000:1000', Env: ['PATH=/bin', 'A=b'], Entrypoint: ['/a'], Cmd: ['b'], WorkingDir: '/w', Volumes: { '/v': {} }, StopSignal: 'SIGTERM', Labels: { l: 'v' } },
  rootfs: { type: 'layers', diff_ids: [digest, digest] }, history: [{ created_by: 'x', empty_layer: true }],
};
const stored = formatIndex([{ name: 'docker.io/library/busybox:latest', target: { ...descriptor, mediaType: mediaType.ociIndex }, manifest: { ...descriptor, mediaType: mediaType.ociManifest } }]);
const auth = { auths: { 'r.example': { auth: Buffer.from('user:password').toString('base64') }, 'https://index.docker.io/v1/': { username: 'u', password: 'p', identitytoken: 't' } }, credHelpers: {} };
const hosts = [
  'server = "https://r.example"', '[host."https://mirror.example:5000/v2/x"]', 'capabilities = ["pull", "resolve"]', 'ca = ["ca.pem"]', 'client = [["c.pem", "k.pem"]]',
  'skip_verify = false', 'override_path = true', 'dial_timeout = "5s"', '[host."https://mirror.example:5000/v2/x".header]', 'x-token = "value"', 'x-more = ["a", "b"]', '',
].join('\n');

/** What takes the place of a value, or of any other part. */
const odd = fc.oneof(
  fc.constantFrom('null', 'true', '{}', '[]', '""', '0', '-1', '-0', '1e999', '1e-999', '9007199254740993', '18446744073709551616', '123456789012345678901234567890', '0.1', 'NaN', '2', '1'),
  fc.constantFrom('{"__proto__":{"polluted":true}}', '{"constructor":{"prototype":{"polluted":true}}}', '"__proto__"', '["__proto__"]', '{"toString":1,"hasOwnProperty":2}'),
  fc.constantFrom('"\\ud800"', '"\\u0000"', '"../../../../etc/passwd"', '"\\r\\nx-injected: 1"', '"sha512:00"', `"${digest.toUpperCase()}"`, '"4294967296:0"', '1979-05-27', "'''x'''", '{ a = 1 }'),
  fc.nat(20_000).map((depth) => '['.repeat(depth) + ']'.repeat(depth)),
  fc.nat(5000).map((depth) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`),
  fc.nat(100_000).map((length) => `"${'x'.repeat(length)}"`),
  fc.string({ unit: 'binary' }).map((text) => JSON.stringify(text)),
);

type Change = (text: string, at: number, length: number, other: string) => string;

/** The place of some value behind a colon or in a list, at or after a position; a quoted text counts as one. */
function valueAt(text: string, at: number): readonly [number, number] {
  const found = /[:[,=]\s*("(?:[^"\\]|\\.)*"|[\w.+-]+|\{\}|\[\])/g;
  found.lastIndex = at;
  const match = found.exec(text);
  return match === null ? [at, at] : [match.index + match[0].length - (match[1]?.length ?? 0), match.index + match[0].length];
}

const replaceAt = (text: string, from: number, to: number, by: string): string => text.slice(0, from) + by + text.slice(to);
const changes: Readonly<Record<string, Change>> = {
  'another value': (text, at, _length, other) => replaceAt(text, ...valueAt(text, at), other),
  'another key': (text, at, _length, other) => text.slice(0, at) + text.slice(at).replace(/"(?:[^"\\]|\\.)*"(?=\s*:)|^\w+(?=\s*=)/m, () => (other.startsWith('"') ? other : '"__proto__"')),
  'a key twice': (text, at) => text.slice(0, at) + text.slice(at).replace(/("\w+")\s*:\s*("[^"]*"|\d+)/, (whole, key: string) => `${whole},${key}:[]`),
  'a key that every object has': (text, at, _length, other) => text.slice(0, at) + text.slice(at).replace('{', () => `{"__proto__":${other},`),
  'a line twice': (text, at) => text.slice(0, at) + text.slice(at).replace(/\n[^\n]*/, (line) => line + line),
  'a part cut out': (text, at, length) => replaceAt(text, at, at + length, ''),
  'a part twice': (text, at, length) => replaceAt(text, at, at, text.slice(at, at + length)),
  'something put in': (text, at, _length, other) => replaceAt(text, at, at, other),
};

/** The documents as bytes, changed one to four times; now and then a byte is broken at last. */
function changed(...documents: readonly string[]): fc.Arbitrary<Buffer> {
  const change = fc.record({ how: fc.constantFrom(...Object.keys(changes)), at: fc.double({ min: 0, max: 1, noNaN: true }), length: fc.nat(80), other: odd });
  const broken = fc.option(fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true }), byte: fc.integer({ min: 0x80, max: 0xff }) }), { freq: 8 });
  return fc.tuple(fc.constantFrom(...documents), fc.array(change, { minLength: 1, maxLength: 4 }), broken).map(([document, list, byte]) => {
    const text = list.reduce((now, { how, at, length, other }) => changes[how]?.(now, Math.floor(at * now.length), length, other) ?? now, document);
    const bytes = Buffer.from(text);
    if (byte !== null && bytes.length > 0) bytes[Math.min(bytes.length - 1, Math.floor(byte.at * bytes.length))] = byte.byte;
    return bytes;
  });
}

const natures = [Object.prototype, Array.prototype, Function.prototype, String.prototype].map((nature) => ({ nature, keys: Reflect.ownKeys(nature).length }));

async function holds(codes: readonly ErrorCode[], parse: () => unknown): Promise<void> {
  const began = performance.now();
  try {
    await parse();
  } catch (failure) {
    if (!(failure instanceof BerthError)) throw failure;
    expect(codes).toContain(failure.code);
    expect(failure.message.length).toBeGreaterThan(0);
    expect(failure.message.length).toBeLessThan(READABLE);
  }
  expect(performance.now() - began).toBeLessThan(SOON);
  expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  for (const { nature, keys } of natures) expect(Reflect.ownKeys(nature).length).toBe(keys);
}

const check = (documents: fc.Arbitrary<Buffer>, codes: readonly ErrorCode[], parse: (bytes: Buffer) => unknown): Promise<void> =>
  fc.assert(fc.asyncProperty(documents, (bytes) => holds(codes, () => parse(bytes))), { numRuns });

describe('a document that was changed is read, or refused with the right error', () => {
  test('a manifest or an index', () =>
    check(changed(JSON.stringify(manifest), JSON.stringify(index)), ['REGISTRY_PROTOCOL', 'REGISTRY_NOT_FOUND'], (bytes) => {
      const parsed = parseManifest(bytes, '', 'it');
      if (parsed.kind === 'index') return chooseEntry(parsed, hostPlatform(), 'it');
      for (const { digest: name, size } of [parsed.config, ...parsed.layers]) expect([Number.isSafeInteger(size), /^sha256:[0-9a-f]{64}$/.test(name)]).toEqual([true, true]);
      return parsed;
    }));

  test('an image config, which can be written down again', () =>
    check(changed(JSON.stringify(config)), ['REGISTRY_PROTOCOL'], (bytes) => JSON.stringify(parseImageConfig(bytes, 'it'))));

  test('the index of the store', () =>
    check(changed(stored), ['REGISTRY_PROTOCOL'], (bytes) => {
      const { entries, bad } = parseIndex(bytes, 'it');
      for (const { reason } of bad) expect(reason).toBeInstanceOf(BerthError);
      return formatIndex(entries);
    }));

  test('a hosts.toml', () => check(changed(hosts), ['CONFIG_INVALID'], (bytes) => {
    for (const { headers } of parseHostsFile(bytes.toString('utf8'), '/certs.d/h/hosts.toml', 'https://h').hosts) new Headers(Object.entries(headers).flatMap(([name, values]) => values.map((value) => [name, value] as [string, string])));
  }));

  test('a reference', () =>
    check(changed('r.example:5000/team/app:tag', `r.example/app@${digest}`, '[::1]:5000/a/b:c'), ['INVALID_REFERENCE'], (bytes) => parseReference(bytes.toString('utf8'))));

  describe('a file of credentials', () => {
    let directory: string;
    beforeAll(() => (directory = mkdtempSync(join(tmpdir(), 'berth-auth-'))));
    afterAll(() => rmSync(directory, { recursive: true }));

    test('of Docker', () =>
      check(changed(JSON.stringify(auth)), ['CONFIG_INVALID'], async (bytes) => {
        const path = join(directory, 'config.json');
        writeFileSync(path, bytes);
        // No helper is started: none of the names that a change can make is in the path.
        const file = await readAuthFile(path, new AbortController().signal);
        for (const host of ['r.example', 'registry-1.docker.io', '__proto__', 'constructor']) await file.credentials(host, new AbortController().signal);
      }));
  });
});
