import { expect, test } from 'vitest';

import { parseCidr } from './cidr.ts';

test.each([
  ['10.88.0.0/16', 4, '10.88.0.0/16'],
  ['10.88.200.7/20', 4, '10.88.192.0/20'],
  ['255.255.255.255/1', 4, '128.0.0.0/1'],
  ['fd00:0:0::/64', 6, 'fd00::/64'],
  ['fd00:1:2:3:4:5:6:7/60', 6, 'fd00:1:2::/60'],
  ['::ffff:10.1.2.3/120', 6, '::ffff:a01:200/120'],
])('%s is an IPv%i range, %s', (text, family, canonical) => {
  expect(parseCidr(text)).toEqual({ family, text: canonical });
});

test.each(['', '10.0.0.0', '10.0.0.0/0', '10.0.0.0/31', '10.0.0/8', '10.0.0.0/8/8', '10.0.0.0/ 8', 'fd00::/128', 'fe80::1%eth0/64', '010.0.0.0/8'])('%j is none', (text) => {
  expect(parseCidr(text)).toBeUndefined();
});
