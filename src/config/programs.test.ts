import { expect, test } from 'vitest';
import { nativePrograms } from './programs.ts';

test.each([
  ['file:///usr/lib/berth/lib/berthd.mjs', '/usr/lib/berth/berth-shim'],
  ['file:///home/me/berth/src/main.ts', '/home/me/berth/dist/berth-shim'],
  ['file:///home/me/berth/src/cli/main.ts', '/home/me/berth/dist/berth-shim'],
])('%s: the shim is %s', (url, shim) => expect(nativePrograms(url).shim).toBe(shim));
