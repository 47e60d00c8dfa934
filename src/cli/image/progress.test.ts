import { expect, test } from 'vitest';
import type { LayerProgress__Output } from '../../cri-server/generated/berth/v1/LayerProgress.ts';
import type { PushedLayer__Output } from '../../cri-server/generated/berth/v1/PushedLayer.ts';
import { ProgressView, pullLine } from './progress.ts';
import { pushLine } from './push.ts';
import { formatBytes } from './size.ts';

const layer = (received: number, state: LayerProgress__Output['state'], digest = 'a'): LayerProgress__Output => ({
  digest: `sha256:${digest.repeat(64)}`, size: '2048', received: String(received), state,
});

const lineOf = (progress: LayerProgress__Output): string => pullLine(progress).text;

test('a line tells how much is there', () => {
  expect(lineOf(layer(0, 'LAYER_WAITING'))).toBe(`aaaaaaaaaaaa  [${' '.repeat(30)}]  2.0 KiB waiting`);
  expect(lineOf(layer(1024, 'LAYER_DOWNLOADING'))).toBe(`aaaaaaaaaaaa  [${'='.repeat(15)}${' '.repeat(15)}]  1.0 KiB of 2.0 KiB`);
  expect(lineOf(layer(4096, 'LAYER_DOWNLOADING'))).toContain(`[${'='.repeat(30)}]`);
  expect(lineOf(layer(0, 'LAYER_PRESENT'))).toBe(`aaaaaaaaaaaa  [${'='.repeat(30)}]  2.0 KiB already here`);
});

test('a layer that is pushed is compressed, then sent', () => {
  const pushed = (state: PushedLayer__Output['state'], digest: string, done: number): PushedLayer__Output => ({
    diff_id: `sha256:${'d'.repeat(64)}`, digest, size: '2048', done: String(done), state,
  });
  const digest = `sha256:${'a'.repeat(64)}`;
  expect(pushLine(pushed('PUSH_WAITING', '', 0)).text).toBe(`dddddddddddd  [${' '.repeat(30)}]  waiting`);
  expect(pushLine(pushed('PUSH_COMPRESSING', '', 1024)).text).toBe(`dddddddddddd  [${'='.repeat(15)}${' '.repeat(15)}]  1.0 KiB of 2.0 KiB compressed`);
  expect(pushLine(pushed('PUSH_UPLOADING', digest, 1024)).text).toBe(`aaaaaaaaaaaa  [${'='.repeat(15)}${' '.repeat(15)}]  1.0 KiB of 2.0 KiB sent`);
  expect(pushLine(pushed('PUSH_MOUNTED', digest, 2048))).toEqual({ key: `sha256:${'d'.repeat(64)}`, text: `aaaaaaaaaaaa  [${'='.repeat(30)}]  2.0 KiB mounted`, over: true });
});

test('a terminal is drawn over', () => {
  let text = '';
  const view = new ProgressView(true, (more) => void (text += more));
  view.show([]);
  view.show([layer(0, 'LAYER_WAITING'), layer(0, 'LAYER_WAITING', 'b')].map(pullLine));
  expect(text).not.toContain('\u001B[2A');
  text = '';
  view.show([layer(2048, 'LAYER_DONE'), layer(0, 'LAYER_WAITING', 'b')].map(pullLine));
  expect(text.startsWith('\u001B[2A')).toBe(true);
  expect(text.split('\n')).toHaveLength(3);
});

test('elsewhere each layer is told once, when it is over', () => {
  let text = '';
  const view = new ProgressView(false, (more) => void (text += more));
  view.show([layer(1, 'LAYER_DOWNLOADING'), layer(0, 'LAYER_PRESENT', 'b')].map(pullLine));
  view.show([layer(2048, 'LAYER_DONE'), layer(0, 'LAYER_PRESENT', 'b')].map(pullLine));
  expect(text.split('\n').map((line) => line.slice(0, 12))).toEqual(['bbbbbbbbbbbb', 'aaaaaaaaaaaa', '']);
});

test.each([
  ['0', '0 B'],
  [1023, '1023 B'],
  ['1536', '1.5 KiB'],
  [5 * 1024 ** 3, '5.0 GiB'],
  [2 ** 60, '1048576.0 TiB'],
])('%s bytes are %s', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});
