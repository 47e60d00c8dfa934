/** One virtual machine, from its files to its end. */

import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, readdir, realpath, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { follow } from './follow.ts';
import type { Sink } from './follow.ts';
import { isEmulatorsFault } from './outcome.ts';
import { kernel, makeDisk, makeSparse, prepare, project, store } from './prepare.ts';
import { qemuArguments } from './qemu.ts';
import type { MachineFiles } from './qemu.ts';
import type { MachineSettings } from './settings.ts';

const here = dirname(fileURLToPath(import.meta.url));
const WATCH_MS = 20;

export interface Command {
  /** A line for the shell. */
  readonly line: string;
  readonly directory: string;
  readonly environment: Readonly<Record<string, string>>;
}

export interface Outlet {
  readonly stdout: Sink;
  readonly stderr: Sink;
}

/** `ended`: with the command's exit code. `lost`: the machine went without one; `console` says what it said last. */
export type End =
  | { readonly kind: 'ended'; readonly code: number }
  | { readonly kind: 'power-cut' | 'timeout' | 'interrupted' }
  | { readonly kind: 'lost'; readonly console: string };

export interface Run {
  readonly end: End;
  readonly accelerator: MachineFiles['accelerator'];
  /** Until the command started; undefined when it never did. */
  readonly bootMs: number | undefined;
  readonly totalMs: number;
}

const quoted = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`;

/**
 * Directories that have to be seen inside although the machine has file systems of its own on /tmp, /run and
 * other places: where the command runs and the checkout, whose node_modules may be a link to elsewhere.
 */
async function visible(command: Command): Promise<string[]> {
  const modules = await realpath(join(project, 'node_modules')).catch(() => project);
  return [...new Set([command.directory, project, modules])];
}

async function fillControl(control: string, settings: MachineSettings, command: Command): Promise<void> {
  for (const name of await readdir(join(here, 'guest'))) await cp(join(here, 'guest', name), join(control, name));
  const version = (await readFile(join(kernel, 'version'), 'utf8')).trim();
  const given = {
    INIT: settings.init,
    DISK: settings.disk === undefined ? '' : 'yes',
    SWAP: settings.swapBytes === undefined ? '' : 'yes',
    KERNEL_MODULES: join(kernel, 'lib/modules'),
    KERNEL_VERSION: version,
  };
  await writeFile(join(control, 'settings'), Object.entries(given).map(([name, value]) => `${name}=${quoted(value)}\n`).join(''));
  await writeFile(join(control, 'visible'), (await visible(command)).map((directory) => `${directory}\n`).join(''));
  const environment = Object.entries(command.environment).map(([name, value]) => `export ${name}=${quoted(value)}\n`);
  await writeFile(join(control, 'command'), `${environment.join('')}cd ${quoted(command.directory)} || exit\n${command.line}\n`);
  for (const name of ['stdout', 'stderr', 'console']) await writeFile(join(control, name), '');
  await mkdir(join(control, 'results'));
}

/** qemu, which dies with this process, however it ends. */
function start(settings: MachineSettings, files: MachineFiles): ChildProcess {
  return spawn('setpriv', ['--pdeathsig', 'KILL', 'qemu-system-x86_64', ...qemuArguments(settings, files)], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
}

function exited(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', () => resolve());
  });
}

async function untilThere(file: string, ended: AbortSignal): Promise<boolean> {
  for (;;) {
    if (await stat(file).then(() => true, () => false)) return true;
    if (ended.aborted) return false;
    await sleep(WATCH_MS, undefined, { signal: ended }).catch(() => undefined);
  }
}

async function endOf(control: string, cut: End['kind'] | undefined): Promise<End> {
  // A command that was over before the power went has its result.
  const text = await readFile(join(control, 'exit'), 'utf8').catch(() => '');
  if (text !== '') return { kind: 'ended', code: Number(text) };
  if (cut === 'timeout' || cut === 'power-cut' || cut === 'interrupted') return { kind: cut };
  return { kind: 'lost', console: await readFile(join(control, 'console'), 'utf8') };
}

/** What runs left that were killed: their process is gone, and qemu with it. */
async function removeStale(): Promise<void> {
  for (const name of await readdir(store)) {
    const [, pid] = /^run-(\d+)-/.exec(name) ?? [];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) await rm(join(store, name), { recursive: true, force: true });
  }
}

export interface RunOptions {
  readonly results?: string;
  readonly interrupt?: AbortSignal;
}

/**
 * Runs `command` in a new machine, and in a second one where the emulator's fault ended the first before the command
 * began. What it leaves in /run/berth-vm/results is copied to `results`.
 */
export async function runMachine(settings: MachineSettings, command: Command, outlet: Outlet, options: RunOptions = {}): Promise<Run> {
  const run = await runOnce(settings, command, outlet, options);
  return run.bootMs === undefined && isEmulatorsFault(run) ? runOnce(settings, command, outlet, options) : run;
}

async function runOnce(settings: MachineSettings, command: Command, outlet: Outlet, options: RunOptions): Promise<Run> {
  const prepared = await prepare(settings.accelerator);
  if (settings.disk !== undefined) await makeDisk(settings.disk.path, settings.disk.bytes);
  await removeStale();
  const control = await mkdtemp(join(store, `run-${process.pid}-`));
  try {
    await fillControl(control, settings, command);
    const files = { ...prepared, control, swap: join(control, 'swap') };
    if (settings.swapBytes !== undefined) await makeSparse(files.swap, settings.swapBytes);
    const run = await supervise(settings, files, outlet, options.interrupt);
    if (options.results !== undefined) await cp(join(control, 'results'), options.results, { recursive: true });
    return run;
  } finally {
    await rm(control, { recursive: true, force: true });
  }
}

async function supervise(
  settings: MachineSettings,
  files: MachineFiles,
  outlet: Outlet,
  interrupt: AbortSignal | undefined,
): Promise<Run> {
  const began = performance.now();
  const { control } = files;
  const qemu = start(settings, files);
  const ended = new AbortController();
  let cut: End['kind'] | undefined;
  const pullThePlug = (why: End['kind']): void => {
    cut ??= why;
    qemu.kill('SIGKILL');
  };
  const late = setTimeout(() => pullThePlug('timeout'), settings.timeoutSeconds * 1000);
  const interrupted = (): void => pullThePlug('interrupted');
  interrupt?.addEventListener('abort', interrupted);
  if (interrupt?.aborted) interrupted();

  let bootMs: number | undefined;
  const watch = async (): Promise<void> => {
    if (!(await untilThere(join(control, 'started'), ended.signal))) return;
    bootMs = performance.now() - began;
    if (settings.powerOffAfterSeconds === undefined) return;
    await sleep(settings.powerOffAfterSeconds * 1000, undefined, { signal: ended.signal }).catch(() => undefined);
    if (!ended.signal.aborted) pullThePlug('power-cut');
  };
  const exit = exited(qemu).finally(() => ended.abort());
  try {
    await Promise.all([
      exit,
      watch(),
      follow(join(control, 'stdout'), outlet.stdout, ended.signal),
      follow(join(control, 'stderr'), outlet.stderr, ended.signal),
    ]);
  } finally {
    clearTimeout(late);
    interrupt?.removeEventListener('abort', interrupted);
    qemu.kill('SIGKILL');
  }
  return { end: await endOf(control, cut), accelerator: files.accelerator, bootMs, totalMs: performance.now() - began };
}
