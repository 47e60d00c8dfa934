import { parseArgs } from 'node:util';
import { expect, test } from 'vitest';
import type { Command } from './command.ts';
import { runCommandLine } from './run.ts';

const commands: Command[] = [
  {
    name: 'greet',
    summary: 'says hello',
    help: 'Usage: berth greet NAME\n',
    run: async (args, output) => {
      const { positionals } = parseArgs({ args: [...args], allowPositionals: true });
      output.write(`hello ${positionals.join(' ')}\n`);
      return 7;
    },
  },
];

async function run(...args: string[]): Promise<{ status: number; out: string; err: string }> {
  let out = '';
  let err = '';
  const status = await runCommandLine(commands, args, { write: (text) => void (out += text), complain: (text) => void (err += text) });
  return { status, out, err };
}

test('the command gets its arguments and decides the exit status', async () => {
  expect(await run('greet', 'a', 'b')).toEqual({ status: 7, out: 'hello a b\n', err: '' });
});

test('help is found in every way that people ask for it', async () => {
  for (const args of [['--help'], ['-h'], ['help']]) expect((await run(...args)).out).toContain('greet  says hello');
  expect(await run('greet', '--help')).toEqual({ status: 0, out: 'Usage: berth greet NAME\n', err: '' });
  expect((await run()).status).toBe(2);
});

test('wrong usage is 2, on standard error', async () => {
  expect(await run('gret')).toMatchObject({ status: 2, out: '', err: expect.stringContaining('gret') as string });
  expect(await run('greet', '--loud')).toMatchObject({ status: 2, out: '', err: expect.stringContaining('--loud') as string });
});
