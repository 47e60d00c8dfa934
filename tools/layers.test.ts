import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { importsOf } from './imports.ts';
import { findCycles, importProblem, type Import } from './layers.ts';

const edge = (from: string, to: string, typeOnly = false): Import => ({ from, to, typeOnly, line: 1 });

describe('an import', () => {
  test.each([
    edge('main.ts', 'cri-server/server.ts'),
    edge('cri-server/server.ts', 'errors/catalogue.ts'),
    edge('runtime-service/status.ts', 'state/records.ts'),
    edge('shim/launch.ts', 'shim/protocol.ts'),
    edge('telemetry/logger.ts', 'config/config.ts'),
    edge('runtime-service/status.ts', 'cri-server/generated/api.ts', true),
    edge('image-service/pull.ts', 'cri-server/handlers.ts', true),
    edge('runtime-service/create.ts', 'image-service/images.ts', true),
  ])('$from → $to is right', (found) => expect(importProblem(found)).toBeUndefined());

  test.each([
    [edge('runtime-service/status.ts', 'cri-server/server.ts'), 'above'],
    [edge('runtime-service/status.ts', 'cri-server/server.ts', true), 'above'],
    [edge('runtime-service/status.ts', 'cri-server/handlers.ts'), 'above'],
    [edge('state/records.ts', 'shim/protocol.ts', true), 'above'],
    [edge('errors/catalogue.ts', 'main.ts'), 'above'],
    [edge('runtime-service/a.ts', 'image-service/b.ts'), 'peer'],
    [edge('runtime-service/a.ts', 'image-service/images.ts'), 'peer'],
    [edge('shim/a.ts', 'cgroup/b.ts'), 'peer'],
    [edge('cli/a.ts', 'main.ts'), 'peer'],
    [edge('utils/a.ts', 'errors/b.ts'), 'no layer'],
  ])('%j is wrong', (found, why) => expect(importProblem(found)).toContain(why));
});

test('cycles are found once, with their files', () => {
  const imports = [edge('a', 'b'), edge('b', 'c'), edge('c', 'a'), edge('d', 'a'), edge('e', 'e'), edge('f', 'b')];
  expect(findCycles(imports)).toEqual([['a', 'b', 'c'], ['e']]);
});

test('imports are read in all their forms', () => {
  const text = [
    `import { a } from './a.ts';`,
    `import type { b } from '../x/b.ts';`,
    `import {`,
    `  c,`,
    `} from './c.ts';`,
    `export { d } from './d.ts';`,
    `import './e.ts';`,
    `import fs from 'node:fs';`,
    `import data from './data.json' with { type: 'json' };`,
    `// import { no } from './no.ts';`,
    `/* import { no } from './no.ts'; */`,
    `const f = await import('./f.ts');`,
  ].join('\n');
  expect(importsOf('y/z.ts', text).map(({ to, typeOnly, line }) => [to, typeOnly, line])).toEqual([
    ['y/a.ts', false, 1], ['x/b.ts', true, 2], ['y/c.ts', false, 3], ['y/d.ts', false, 6], ['y/e.ts', false, 7], ['y/f.ts', false, 12],
  ]);
});

describe('the command', () => {
  let root: string;
  beforeEach(() => (root = mkdtempSync(join(tmpdir(), 'berth-layers-'))));
  afterEach(() => rmSync(root, { recursive: true }));

  function check(files: Record<string, string>): { status: number | null; stderr: string } {
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(root, name)), { recursive: true });
      writeFileSync(join(root, name), text);
    }
    return spawnSync(process.execPath, [join(import.meta.dirname, 'check-layers.ts'), root], { encoding: 'utf8' });
  }

  test('passes what is right', () => {
    expect(check({ 'main.ts': `import './state/a.ts';\n`, 'state/a.ts': '' })).toMatchObject({ status: 0, stderr: '' });
  });

  test('fails with file and line', () => {
    const { status, stderr } = check({ 'state/a.ts': `\nimport type { X } from '../shim/b.ts';\n`, 'shim/b.ts': '' });
    expect(status).toBe(1);
    expect(stderr).toContain('state/a.ts:2: state may not import shim');
  });

  test('fails on a cycle within a folder', () => {
    const { status, stderr } = check({ 'state/a.ts': `import './b.ts';\n`, 'state/b.ts': `import './a.ts';\n` });
    expect(status).toBe(1);
    expect(stderr).toContain('cycle: state/a.ts → state/b.ts → state/a.ts');
  });
});
