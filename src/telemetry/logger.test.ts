import { expect, test } from 'vitest';
import { createLogger } from './logger.ts';

function logging(): { log: ReturnType<typeof createLogger>; lines: Record<string, unknown>[] } {
  const lines: Record<string, unknown>[] = [];
  const destination = { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) };
  return { log: createLogger({ level: 'info', destination }), lines };
}

test('lines carry level and time as people read them', () => {
  const { log, lines } = logging();
  log.child({ component: 'x' }).warn({ n: 1 }, 'hello');
  log.debug('not shown');
  expect(lines).toEqual([
    { level: 'warn', time: expect.stringMatching(/^\d{4}-.*Z$/) as string, component: 'x', n: 1, msg: 'hello' },
  ]);
});

test.each([
  { auth: 'S3CRET' },
  { auth: { password: 'S3CRET' } },
  { request: { auth: { username: 'u', registry_token: 'S3CRET' } } },
  { request: { options: { headers: { authorization: 'Bearer S3CRET' } } } },
  { response: { access_token: 'S3CRET' } },
])('secrets stay out: %j', (fields) => {
  const { log, lines } = logging();
  log.info(fields, 'x');
  log.child(fields).info('y');
  expect(lines).toHaveLength(2);
  expect(JSON.stringify(lines)).not.toContain('S3CRET');
  expect(JSON.stringify(lines)).toContain('[redacted]');
});

test('redaction leaves the object itself alone', () => {
  const { log } = logging();
  const request = { auth: { password: 'S3CRET' } };
  log.info({ request }, 'x');
  expect(request.auth.password).toBe('S3CRET');
});
