import { describe, expect, test } from 'vitest';
import { parseChallenges } from './challenge.ts';

describe('parseChallenges', () => {
  test('a bearer challenge with quoted commas', () => {
    const header = 'Bearer realm="https://auth.example.com/token",service="registry",scope="repository:a/b:pull,push"';
    expect(parseChallenges(header)).toEqual([
      {
        scheme: 'bearer',
        parameters: { realm: 'https://auth.example.com/token', service: 'registry', scope: 'repository:a/b:pull,push' },
      },
    ]);
  });

  test('several challenges in one header, in any case, with escapes', () => {
    expect(parseChallenges('BASIC Realm="a \\"b\\"", bearer realm=x , Service=y')).toEqual([
      { scheme: 'basic', parameters: { realm: 'a "b"' } },
      { scheme: 'bearer', parameters: { realm: 'x', service: 'y' } },
    ]);
  });

  test.each(['', '   ', ',,,', '="x"', 'Basic realm="unterminated'])('%j does not throw', (header) => {
    expect(parseChallenges(header).flatMap(({ parameters }) => Object.keys(parameters))).toEqual([]);
  });

  test('a parameter named like a property of Object is a parameter', () => {
    expect(parseChallenges('Basic __proto__=x')[0]?.parameters['__proto__']).toBe('x');
  });
});
