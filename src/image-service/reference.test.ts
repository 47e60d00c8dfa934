import { describe, expect, test } from 'vitest';
import { formatReference, parseReference } from './reference.ts';

const hex = 'a'.repeat(64);

describe('parseReference', () => {
  test.each([
    ['busybox', 'docker.io/library/busybox:latest'],
    ['busybox:1.36', 'docker.io/library/busybox:1.36'],
    ['grafana/grafana', 'docker.io/grafana/grafana:latest'],
    ['docker.io/busybox', 'docker.io/library/busybox:latest'],
    ['index.docker.io/library/busybox', 'docker.io/library/busybox:latest'],
    ['localhost/app', 'localhost/app:latest'],
    ['localhost:5000/app:v1', 'localhost:5000/app:v1'],
    ['registry.example.com/a/b/c', 'registry.example.com/a/b/c:latest'],
    ['REGISTRY/app', 'REGISTRY/app:latest'],
    ['127.0.0.1:443/app', '127.0.0.1:443/app:latest'],
    ['[::1]:5000/app:v1', '[::1]:5000/app:v1'],
    ['[2001:db8::1]/team/app', '[2001:db8::1]/team/app:latest'],
    [`busybox@sha256:${hex}`, `docker.io/library/busybox@sha256:${hex}`],
    [`localhost:5000/app:v1@sha256:${hex}`, `localhost:5000/app@sha256:${hex}`],
    ['[2001:DB8::1]:5000/app@sha256:' + hex, `[2001:DB8::1]:5000/app@sha256:${hex}`],
    [`registry.example.com/team/app:v1@sha256:${hex}`, `registry.example.com/team/app@sha256:${hex}`],
    [`busybox:${'t'.repeat(128)}`, `docker.io/library/busybox:${'t'.repeat(128)}`],
    ['Registry.Example.com:5000/app', 'Registry.Example.com:5000/app:latest'],
    [`${'r'.repeat(60)}.example.com/${'a'.repeat(255)}`, `${'r'.repeat(60)}.example.com/${'a'.repeat(255)}:latest`],
    ['localhost:5000/5000/x', 'localhost:5000/5000/x:latest'],
    ['a__b/c-d.e_f', 'docker.io/a__b/c-d.e_f:latest'],
  ])('%s is %s', (text, full) => {
    expect(formatReference(parseReference(text))).toBe(full);
  });

  test('the full form of a reference is a fixed point', () => {
    const full = formatReference(parseReference('localhost:5000/a/b:1'));
    expect(formatReference(parseReference(full))).toBe(full);
  });

  test.each([
    '',
    ':tag',
    'Busybox',
    'busybox:',
    'busybox:-x',
    'busybox@',
    'busybox@sha256:abc',
    `busybox@sha512:${'a'.repeat(128)}`,
    `busybox@sha256:${'A'.repeat(64)}`,
    'a//b',
    '/busybox',
    'host.example.com/',
    'host.example.com:99999/app',
    'host.example.com:0/app',
    '-host.example.com/app',
    'http://host.example.com/app',
    '../../etc/passwd',
    'a/../b',
    'busy box',
    'busybox:a b',
    hex,
    `sha256:${hex}`,
    `docker.io/${'a'.repeat(256)}`,
    `${'r.'.repeat(128)}example.com/app`,
    `busybox:${'t'.repeat(129)}`,
    '[:::1]/app',
    '[::ffff:10.0.0.1]/app',
    '[fe80::1%eth0]/app',
    '[::1/app',
    '::1/app',
    '[f]:5000/app',
    '[::1]5000/app',
    'library/BusyBox',
    'busybox@latest',
    `busybox@sha256:${hex}@sha256:${hex}`,
    hex.slice(0, 12) + ' ',
    'busybox\u0000',
  ])('refuses %j', (text) => {
    expect(() => parseReference(text)).toThrow(expect.objectContaining({ code: 'INVALID_REFERENCE' }));
  });

  test.each(['sha512', 'blake3', 'sha256+b64u'])('the digest algorithm %s is refused by its name', (algorithm) => {
    expect(() => parseReference(`busybox@${algorithm}:${'a'.repeat(128)}`)).toThrow(`algorithm "${algorithm}"; only sha256`);
  });

  test('an id is told from a name', () => {
    for (const id of [hex, `sha256:${hex}`]) expect(() => parseReference(id)).toThrow(/is an image id; give a name/);
    // The start of an id is a name like any other; that it stands for an image is known where images are looked up.
    expect(formatReference(parseReference(hex.slice(0, 12)))).toBe(`docker.io/library/${hex.slice(0, 12)}:latest`);
  });
});
