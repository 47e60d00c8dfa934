/** The OCI runtime spec's configuration, clause by clause, through the shim's bundle interface. */

import { readFileSync } from 'node:fs';
import { afterAll, expect, test } from 'vitest';
import { requireWorld } from '../harness/world.ts';
import { openWorkshop, runByShim } from '../oci/bundle.ts';
import { configClauses } from '../oci/clauses-config.ts';
import { linuxClauses } from '../oci/clauses-linux.ts';

requireWorld();

const workshop = openWorkshop();
afterAll(() => workshop.close());

const clauses = [...configClauses, ...linuxClauses];

test.each(clauses)('$clause: $check', async ({ config, expected }) => {
  const outcome = await runByShim(workshop, config(workshop));
  if ('refused' in expected) {
    expect(outcome).toMatchObject({ exitCode: 125, stdout: '', stderr: expect.stringMatching(expected.refused) as string });
    return;
  }
  expect(outcome.stderr).toBe('');
  if (typeof expected.output === 'string') expect(outcome.stdout).toBe(expected.output);
  else expect(outcome.stdout).toMatch(expected.output);
});

test('docs/oci-conformance.md lists these checks', () => {
  const text = readFileSync(new URL('../../docs/oci-conformance.md', import.meta.url), 'utf8');
  const rows = text.split('\n').filter((line) => line.startsWith('| `')).map((line) => line.split('|').slice(1, 3).map((cell) => cell.trim()).join(': '));
  expect(rows).toEqual(clauses.map(({ clause, check }) => `\`${clause}\`: ${check}`));
});
