import fc from 'fast-check';
import { constants, createInflate, deflateRawSync, deflateSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { FrameDecoder } from './decoder.ts';
import { headerDictionary, headerDictionaryId } from './dictionary.ts';
import { SpdyError } from './error.ts';
import {
  dataHeader, encodeGoAway, encodePing, encodeReset, encodeSettings, encodeSynReply, encodeSynStream, encodeWindowUpdate,
} from './frames.ts';
import { HeaderDecoder, HeaderEncoder } from './headers.ts';

type Seen = { control: unknown } | { data: number; bytes: string; fin: boolean };

/** What a decoder makes of the bytes when they come in these parts; adjacent parts of one data frame as one. */
function decode(parts: readonly Buffer[]): Seen[] {
  const seen: Seen[] = [];
  const decoder = new FrameDecoder({
    control: (frame) => void seen.push({ control: frame }),
    data: (streamId, bytes, fin) => {
      const last = seen.at(-1);
      const joined = last !== undefined && 'data' in last && last.data === streamId && !last.fin;
      if (joined) seen.pop();
      seen.push({ data: streamId, bytes: (joined ? last.bytes : '') + bytes.toString('latin1'), fin });
    },
  });
  for (const part of parts) decoder.push(part);
  return seen;
}

function example(): { bytes: Buffer; seen: Seen[] } {
  const encoder = new HeaderEncoder();
  const headers = [new Map([['streamtype', 'stdin']]), new Map([['streamtype', 'data'], ['port', '8080'], ['requestid', 'ü']]), new Map<string, string>()];
  const bytes = Buffer.concat([
    encodeSynStream(1, encoder.encode(headers[0] ?? new Map())),
    dataHeader(1, 5, false), Buffer.from('hello'),
    encodePing(7),
    encodeSynStream(3, encoder.encode(headers[1] ?? new Map()), true),
    encodeSynReply(3, encoder.encode(headers[2] ?? new Map())),
    encodeReset(3, 5),
    encodeSettings(new Map([[4, 100], [7, 262_144]])),
    encodeWindowUpdate(1, 77),
    dataHeader(1, 0, true),
    encodeGoAway(3, 0),
  ]);
  return {
    bytes,
    seen: [
      { control: { type: 'SYN_STREAM', streamId: 1, fin: false, headers: headers[0] } },
      { data: 1, bytes: 'hello', fin: false },
      { control: { type: 'PING', id: 7 } },
      { control: { type: 'SYN_STREAM', streamId: 3, fin: true, headers: headers[1] } },
      { control: { type: 'SYN_REPLY', streamId: 3, fin: false, headers: headers[2] } },
      { control: { type: 'RST_STREAM', streamId: 3, status: 5 } },
      { control: { type: 'SETTINGS', values: new Map([[4, 100], [7, 262_144]]) } },
      { control: { type: 'WINDOW_UPDATE', streamId: 1, delta: 77 } },
      { data: 1, bytes: '', fin: true },
      { control: { type: 'GOAWAY', lastStreamId: 3, status: 0 } },
    ],
  };
}

test('frames come back as they were written, split at each byte', () => {
  const { bytes, seen } = example();
  expect(decode([bytes])).toEqual(seen);
  for (let at = 1; at < bytes.length; at++) expect(decode([bytes.subarray(0, at), bytes.subarray(at)])).toEqual(seen);
  expect(decode([...bytes].map((byte) => Buffer.from([byte])))).toEqual(seen);
});

test('a data frame is handed on before it is whole', () => {
  const parts: [string, boolean][] = [];
  const decoder = new FrameDecoder({ control: () => undefined, data: (_id, bytes, fin) => void parts.push([bytes.toString(), fin]) });
  decoder.push(Buffer.concat([dataHeader(1, 10, true), Buffer.from('abc')]));
  decoder.push(Buffer.from('defghi'));
  expect(parts).toEqual([['abc', false], ['defghi', false]]);
  decoder.push(Buffer.from('j'));
  expect(parts.at(-1)).toEqual(['j', true]);
});

test('frame types that nobody knows are passed over', () => {
  const unknown = Buffer.from('8003000a00000003aabbcc', 'hex');
  expect(decode([Buffer.concat([unknown, encodePing(1)])])).toEqual([{ control: { type: 'PING', id: 1 } }]);
});

const hostile: [string, Buffer][] = [
  ['another version', Buffer.from('8002000600000004' + '00000001', 'hex')],
  ['a control frame longer than any that makes sense', Buffer.from('8003000100ffffff', 'hex')],
  ['data on stream 0', Buffer.from('0000000000000001', 'hex')],
  ['a PING without an id', Buffer.from('8003000600000002' + '0000', 'hex')],
  ['a GOAWAY without a status', Buffer.from('8003000700000004' + '00000001', 'hex')],
  ['SETTINGS that claim more than they hold', Buffer.from('8003000400000004' + 'ffffffff', 'hex')],
  ['SETTINGS without a count', Buffer.from('8003000400000000', 'hex')],
  ['a SYN_STREAM without its fields', Buffer.from('8003000100000004' + '00000001', 'hex')],
  ['headers that are no zlib', encodeSynStream(1, Buffer.from('no zlib at all'))],
  ['headers with another dictionary', encodeSynStream(1, deflateSync(Buffer.alloc(4), { dictionary: Buffer.from('other') }))],
  ['no headers at all', encodeSynStream(1, Buffer.alloc(0))],
  ['garbage behind the zlib header', encodeSynStream(1, Buffer.concat([new HeaderEncoder().encode(new Map()).subarray(0, 6), Buffer.alloc(20, 0xff)]))],
  ['headers that inflate to megabytes', encodeSynStream(1, compressed(Buffer.alloc(4 << 20)))],
  ['more headers than there are bytes', encodeSynStream(1, compressed(Buffer.from('00000010', 'hex')))],
  ['a million headers', encodeSynStream(1, compressed(Buffer.from('000f4240', 'hex')))],
  ['a name of four gigabytes', encodeSynStream(1, compressed(Buffer.from('00000001ffffffff61', 'hex')))],
  ['a header without a name', encodeSynStream(1, compressed(Buffer.from('000000010000000000000000', 'hex')))],
  ['a header twice', encodeSynStream(1, compressed(Buffer.from('00000002' + '00000001610000000162' + '00000001410000000163', 'hex')))],
  ['something behind the headers', encodeSynStream(1, compressed(Buffer.from('0000000000', 'hex')))],
];

function compressed(block: Buffer): Buffer {
  return deflateSync(block, { dictionary: headerDictionary, finishFlush: constants.Z_SYNC_FLUSH });
}

test.each(hostile)('%s ends the session', (_what, bytes) => {
  expect(() => decode([bytes])).toThrow(SpdyError);
});

test('no bytes whatever do anything but decode or end the session', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 8 }), fc.boolean(), (parts, afterExample) => {
      const all = parts.map((part) => Buffer.from(part));
      try {
        decode(afterExample ? [example().bytes, ...all] : all);
      } catch (error) {
        expect(error).toBeInstanceOf(SpdyError);
      }
    }),
  );
});

test('a changed byte in valid frames does nothing worse', () => {
  const { bytes } = example();
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ change;
      try {
        decode([changed]);
      } catch (error) {
        expect(error).toBeInstanceOf(SpdyError);
      }
    }),
  );
});

test("the dictionary is the specification's, by the checksum in a zlib header", () => {
  expect(headerDictionary.length).toBe(1423);
  expect(deflateSync(Buffer.from('x'), { dictionary: headerDictionary }).readUInt32BE(2)).toBe(headerDictionaryId);
});

test('blocks of one deflate stream, each referring to those before, are read', () => {
  const headers = [{ streamtype: 'error', port: '80' }, { streamtype: 'error', port: '81' }, { streamtype: 'data', port: '81' }];
  const decoder = new HeaderDecoder();
  let window = headerDictionary;
  for (const each of headers) {
    const words = Object.entries(each).flat().flatMap((text) => [word(text.length), Buffer.from(text)]);
    const block = Buffer.concat([word(2), ...words]);
    const options = { dictionary: window, finishFlush: constants.Z_SYNC_FLUSH };
    const sent = window === headerDictionary ? deflateSync(block, options) : deflateRawSync(block, options);
    window = Buffer.concat([window, block]);
    expect(Object.fromEntries(decoder.decode(sent))).toEqual(each);
  }
});

test('what we write inflates, by an ordinary inflater with the dictionary, block by block', async () => {
  const encoder = new HeaderEncoder();
  const inflate = createInflate({ dictionary: headerDictionary });
  const long = 'v'.repeat(70_000);
  for (const value of ['', 'short', long, 'again']) {
    const out: Buffer[] = [];
    const collect = (chunk: Buffer): void => void out.push(chunk);
    inflate.on('data', collect);
    await new Promise<void>((resolve) => inflate.write(encoder.encode(new Map([['n', value]])), () => resolve()));
    inflate.off('data', collect);
    const expected = Buffer.concat([word(1), word(1), Buffer.from('n'), word(value.length), Buffer.from(value)]);
    expect(Buffer.concat(out).equals(expected)).toBe(true);
  }
  inflate.destroy();
});

function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
