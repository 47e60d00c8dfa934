import { describe, expect, test } from 'vitest';
import { proxyFor } from './proxy.ts';

const through = (url: string, environment: Record<string, string>): string | undefined => proxyFor(new URL(url), environment)?.href;

describe('the variables', () => {
  test.each<[string, Record<string, string>, string | undefined]>([
    ['https://r.example.com', { HTTPS_PROXY: 'http://p:3128' }, 'http://p:3128/'],
    ['https://r.example.com', { https_proxy: 'http://p:3128' }, 'http://p:3128/'],
    ['https://r.example.com', { HTTPS_PROXY: 'http://upper', https_proxy: 'http://lower' }, 'http://upper/'],
    ['https://r.example.com', { HTTPS_PROXY: '', https_proxy: 'http://lower' }, 'http://lower/'],
    ['https://r.example.com', { HTTP_PROXY: 'http://p' }, undefined],
    ['http://r.example.com', { HTTP_PROXY: 'p:3128' }, 'http://p:3128/'],
    ['http://r.example.com', { http_proxy: 'https://u:s@p' }, 'https://u:s@p/'],
    ['http://r.example.com', { HTTPS_PROXY: 'http://p' }, undefined],
    ['http://r.example.com', {}, undefined],
    ['http://localhost:5000', { HTTP_PROXY: 'http://p' }, undefined],
    ['http://127.0.0.1:5000', { HTTP_PROXY: 'http://p' }, undefined],
    ['http://127.9.9.9', { HTTP_PROXY: 'http://p' }, undefined],
    ['http://[::1]:5000', { HTTP_PROXY: 'http://p' }, undefined],
  ])('%s with %j goes through %s', (url, environment, proxy) => {
    expect(through(url, environment)).toBe(proxy);
  });

  test.each(['http://user:hidden@bad host', 'socks5://user:hidden@p', 'http://'])('%j is refused without being repeated', (value) => {
    try {
      proxyFor(new URL('https://r.example.com'), { HTTPS_PROXY: value });
      expect.unreachable();
    } catch (failure) {
      expect(failure).toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining('HTTPS_PROXY') as string });
      expect(`${String(failure)} ${JSON.stringify(failure)}`).not.toContain('hidden');
    }
  });
});

describe('NO_PROXY', () => {
  test.each<[string, string, boolean]>([
    ['*', 'https://r.example.com', true],
    ['example.com', 'https://example.com', true],
    ['example.com', 'https://r.example.com', true],
    ['EXAMPLE.com', 'https://R.example.COM.', true],
    ['example.com', 'https://notexample.com', false],
    ['.example.com', 'https://r.example.com', true],
    ['.example.com', 'https://example.com', false],
    ['*.example.com', 'https://r.example.com', true],
    ['*.example.com', 'https://example.com', false],
    ['other, example.com ,', 'https://r.example.com', true],
    ['example.com:8443', 'https://r.example.com:8443', true],
    ['example.com:8443', 'https://r.example.com', false],
    ['example.com:443', 'https://r.example.com', true],
    ['10.0.0.0/8', 'https://10.1.2.3:5000', true],
    ['10.0.0.0/8', 'https://11.1.2.3', false],
    ['10.0.0.0/8', 'https://ten.example.com', false],
    ['10.0.0.7', 'https://10.0.0.7', true],
    ['10.0.0.7', 'https://10.0.0.71', false],
    ['10.0.0.7:5000', 'https://10.0.0.7', false],
    ['fd00::/8', 'https://[fd00::1]:5000', true],
    ['fd00::/8', 'https://10.0.0.1', false],
    ['fd00::1', 'https://[fd00:0::1]', true],
    ['[fd00::1]:443', 'https://[fd00::1]', true],
    ['[fd00::1]:5000', 'https://[fd00::1]', false],
    ['10.0.0.0/99', 'https://10.0.0.1', false],
    ['nonsense/8', 'https://10.0.0.1', false],
    ['', 'https://r.example.com', false],
  ])('%j lets %s go directly: %s', (list, url, directly) => {
    for (const name of ['NO_PROXY', 'no_proxy']) expect(through(url, { HTTPS_PROXY: 'http://p', [name]: list }) === undefined).toBe(directly);
  });
});
