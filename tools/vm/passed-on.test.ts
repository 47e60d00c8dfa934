import { expect, test } from 'vitest';
import { passedOn } from './passed-on.ts';

test('only what says where programs are and how to write gets in', () => {
  const inside = passedOn({ PATH: '/checkout/bin:/usr/bin', CI: '1', BERTHD: '/x', SECRET: 's', NODE_OPTIONS: '--inspect', TERM: undefined });
  expect(inside).toEqual({
    HOME: '/root', USER: 'root', LOGNAME: 'root', SHELL: '/bin/sh', CI: '1', BERTHD: '/x',
    PATH: '/checkout/bin:/usr/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin:/bin',
  });
});
