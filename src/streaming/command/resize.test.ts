import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { onResize } from './resize.ts';

async function sizesOf(...chunks: string[]): Promise<[number, number][]> {
  const source = new PassThrough();
  const sizes: [number, number][] = [];
  onResize(source, (columns, rows) => void sizes.push([columns, rows]));
  for (const chunk of chunks) {
    source.write(chunk);
    await new Promise(setImmediate);
  }
  return sizes;
}

test('sizes are read however they are cut', async () => {
  const text = '{"Width":80,"Height":24}\n{"Width":132,"Height":50}';
  for (let at = 0; at <= text.length; at++) {
    expect(await sizesOf(text.slice(0, at), text.slice(at))).toEqual([[80, 24], [132, 50]]);
  }
});

test('what is no size is passed over', async () => {
  expect(await sizesOf('{"Width":0,"Height":24}{"Width":80}{bad}', '{"Width":70000,"Height":1}{"Width":"1","Height":1}', '{"Width":5,"Height":6}')).toEqual([[5, 6]]);
  expect(await sizesOf('x'.repeat(5000), '{"Width":5,"Height":6}')).toEqual([[5, 6]]);
  expect(await sizesOf('{'.repeat(5000), '{"Width":5,"Height":6}')).toEqual([[5, 6]]);
});
