import { expect, test } from 'vitest';
import type { LayerProgress__Output } from '../../cri-server/generated/berth/v1/LayerProgress.ts';
import { layerLine, ProgressView } from './progress.ts';
import { formatBytes } from './size.ts';

const layer = (received: number, state: LayerProgress__Output['state'], digest = 'a'): LayerProgress__Output => ({
  digest: `sha256:${digest.repeat(64)}`, size: '2048', received: String(received), state,
});

test('a line tells how much is there', () => {
  expect(layerLine(layer(0, 'LAYER_WAITING'))).toBe(`aaaaaaaaaaaa  [${' '.repeat(30)}]  2.0 KiB waiting`);
  expect(layerLine(layer(1024, 'LAYER_DOWNLOADING'))).toBe(`aaaaaaaaaaaa  [${'='.repeat(15)}${' '.repeat(15)}]  1.0 KiB of 2.0 KiB`);
  expect(layerLine(layer(4096, 'LAYER_DOWNLOADING'))).toContain(`[${'='.repeat(30)}]`);
  expect(layerLine(layer(0, 'LAYER_PRESENT'))).toBe(`aaaaaaaaaaaa  [${'='.repeat(30)}]  2.0 KiB already here`);
});

test('a terminal is drawn over', () => {
  let text = '';
  const view = new ProgressView(true, (more) => void (text += more));
  view.show([]);
  view.show([layer(0, 'LAYER_WAITING'), layer(0, 'LAYER_WAITING', 'b')]);
  expect(text).not.toContain('\u001B[2A');
  text = '';
  view.show([layer(2048, 'LAYER_DONE'), layer(0, 'LAYER_WAITING', 'b')]);
  expect(text.startsWith('\u001B[2A')).toBe(true);
  expect(text.split('\n')).toHaveLength(3);
});

test('elsewhere each layer is told once, when it is over', () => {
  let text = '';
  const view = new ProgressView(false, (more) => void (text += more));
  view.show([layer(1, 'LAYER_DOWNLOADING'), layer(0, 'LAYER_PRESENT', 'b')]);
  view.show([layer(2048, 'LAYER_DONE'), layer(0, 'LAYER_PRESENT', 'b')]);
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
