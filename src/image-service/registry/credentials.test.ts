import { describe, expect, test } from 'vitest';
import { parseAuthConfig } from './credentials.ts';

const empty = { username: '', password: '', auth: '', server_address: '', identity_token: '', registry_token: '' };
const base64 = (text: string): string => Buffer.from(text).toString('base64');

describe('parseAuthConfig', () => {
  test.each([
    ['nothing', {}, undefined],
    ['user name', { username: 'u', password: 'p' }, { kind: 'basic', username: 'u', password: 'p' }],
    ['auth', { auth: base64('u:p:q') }, { kind: 'basic', username: 'u', password: 'p:q' }],
    ['auth padded with NUL', { auth: base64('u:p\0\0') }, { kind: 'basic', username: 'u', password: 'p' }],
    ['identity token', { identity_token: 't' }, { kind: 'identity', token: 't' }],
    ['registry token', { registry_token: 't' }, { kind: 'registry', token: 't' }],
    ['user name before the rest', { username: 'u', password: 'p', identity_token: 't', registry_token: 'r' }, { kind: 'basic', username: 'u', password: 'p' }],
  ])('%s', (_, fields, credentials) => {
    expect(parseAuthConfig({ ...empty, ...fields })?.credentials).toEqual(credentials);
  });

  test.each(['no colon', '%%%%', 'dXNlcg=='])('auth %j is refused without being repeated', (auth) => {
    try {
      parseAuthConfig({ ...empty, auth });
      expect.unreachable();
    } catch (failure) {
      expect(failure).toMatchObject({ code: 'INVALID_FIELD' });
      expect(String(failure)).not.toContain(auth);
    }
  });

  test.each([
    ['https://index.docker.io/v1/', 'registry-1.docker.io'],
    ['docker.io', 'registry-1.docker.io'],
    ['registry.example.com:5000', 'registry.example.com:5000'],
    ['http://registry.example.com/v2/', 'registry.example.com'],
  ])('server address %s is for %s', (server_address, host) => {
    expect(parseAuthConfig({ ...empty, username: 'u', server_address })?.serverHost).toBe(host);
  });
});
