import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { launcherScript } from './launcher.ts';

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "berth 'launcher-"));
  mkdirSync(join(root, 'dist/lib'), { recursive: true });
  const executable = (path: string, text: string) => {
    writeFileSync(path, text);
    chmodSync(path, 0o755);
  };
  executable(join(root, 'dist/berthd'), launcherScript({ name: 'berthd', entry: 'src/main.ts', nodeFlags: ['--flag=1'], environment: { SETTING: '7' } }));
  // Stands in for node: says what it was started with.
  executable(join(root, 'dist/lib/node'), `#!/bin/sh\nprintf '%s\\n' "$$" "$NODE_OPTIONS" "$SETTING" "$@"\n`);
  symlinkSync(join(root, 'dist/berthd'), join(root, 'direct'));
  symlinkSync('direct', join(root, 'indirect'));
});

afterEach(() => rmSync(root, { recursive: true }));

async function launch(program: string, cwd: string): Promise<{ pid: number | undefined; lines: string[] }> {
  const environment = { PATH: `${root}:${process.env['PATH']}`, NODE_OPTIONS: '--require=/evil.js' };
  const child = spawn(program, ['--root', 'a b'], { cwd, env: environment, stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  for await (const text of child.stdout.setEncoding('utf8')) output += String(text);
  return { pid: child.pid, lines: output.trimEnd().split('\n') };
}

test.each([
  ['by its path', () => join(root, 'dist/berthd'), () => '/'],
  ['by a relative path', () => './dist/berthd', () => root],
  ['through a symlink to a symlink', () => join(root, 'indirect'), () => '/'],
  ['through PATH', () => 'direct', () => '/'],
])('started %s: node with our program, the same pid, no foreign options', async (_how, program, cwd) => {
  const { pid, lines } = await launch(program(), cwd());
  expect(lines).toEqual([String(pid), '', '7', '--flag=1', `${root}/dist/lib/berthd.mjs`, '--root', 'a b']);
});
