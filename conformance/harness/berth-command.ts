/** Runs `berth` against a daemon of the tests. */

import { spawn } from 'node:child_process';
import path from 'node:path';
import { buffer, text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

export interface BerthResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const entry = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

/** The built command where the built berthd is tested, otherwise the sources. */
function command(): readonly [string, ...string[]] {
  const berthd = process.env['BERTHD'];
  if (berthd !== undefined && berthd !== '') return [path.join(path.dirname(berthd), 'berth')];
  return [process.execPath, entry];
}

/** An abort of `signal` kills it, and the code is -1. */
export async function berth(listen: string, args: readonly string[], input?: Buffer, signal?: AbortSignal): Promise<BerthResult> {
  const [program, ...first] = command();
  const child = spawn(program, [...first, ...args, '--listen', listen], { stdio: 'pipe' });
  const exited = new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? -1));
  });
  signal?.addEventListener('abort', () => child.kill('SIGKILL'), { once: true });
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  const [code, stdout, stderr] = await Promise.all([exited, buffer(child.stdout), text(child.stderr)]);
  return { code, stdout: stdout.toString('latin1'), stderr };
}
