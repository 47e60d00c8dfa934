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
    `docker.io/${'a'.repeat(300)}`,
    'busybox\u0000',
  ])('refuses %j', (text) => {
    expect(() => parseReference(text)).toThrow(expect.objectContaining({ code: 'INVALID_REFERENCE' }));
  });
});
