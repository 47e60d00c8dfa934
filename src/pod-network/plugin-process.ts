import { spawn } from 'node:child_process';
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';

export interface ProcessRequest {
  readonly path: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly input: string;
}

export interface ProcessOutcome {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  /** The end of what it wrote there. */
  readonly stderr: string;
}

const stdoutLimit = 1024 * 1024;
const stderrLimit = 64 * 1024;
/** How long output may trail the exit: a daemon left behind by the plugin may hold the pipe for ever. */
const drainMillis = 1000;
/** A plugin being replaced by its installer is busy for writing for a moment. */
const textBusyAttempts = 5;
const textBusyDelayMillis = 200;

/**
 * Runs a program with `input` on its standard input, in a process group of its own. When the signal
 * aborts, or the program writes more than 1 MiB, the whole group is killed: plugins run iptables and
 * their IPAM plugin as children.
 */
export async function runProcess(request: ProcessRequest, signal: AbortSignal): Promise<ProcessOutcome> {
  for (let attempt = 1; ; attempt += 1) {
    signal.throwIfAborted();
    try {
      return await runOnce(request, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ETXTBSY' || attempt === textBusyAttempts) throw error;
      await delay(textBusyDelayMillis, undefined, { signal });
    }
  }
}

function runOnce(request: ProcessRequest, signal: AbortSignal): Promise<ProcessOutcome> {
  const child = spawn(request.path, [], { cwd: '/', detached: true, env: request.environment, stdio: 'pipe' });
  return new Promise((resolve, reject) => {
    const output = new PluginOutput(child);
    let failure: unknown;
    let drainTimer: NodeJS.Timeout | undefined;
    const abort = (reason: unknown): void => {
      failure ??= reason;
      killGroup(child);
    };
    const onAbort = (): void => abort(signal.reason);
    output.onOverflow = () => abort(new Error(`wrote more than ${stdoutLimit} bytes to standard output`));
    signal.addEventListener('abort', onAbort, { once: true });
    const settle = (error: unknown): void => {
      signal.removeEventListener('abort', onAbort);
      clearTimeout(drainTimer);
      if (error === undefined) resolve({ exitCode: child.exitCode, signal: child.signalCode, ...output.read() });
      else reject(asError(error));
    };
    child.on('error', settle);
    child.on('exit', () => {
      drainTimer = setTimeout(() => output.close(), drainMillis);
    });
    child.on('close', () => settle(failure));
    // A plugin may exit without reading its input; what counts is its exit status.
    child.stdin.on('error', () => undefined);
    child.stdin.end(request.input);
  });
}

/** An abort's reason may be anything. */
function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error('aborted', { cause: reason });
}

/** ESRCH: the group ended on its own. */
function killGroup(child: ChildProcessWithoutNullStreams): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

class PluginOutput {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #stdout: Buffer[] = [];
  #stdoutLength = 0;
  #stderr = Buffer.alloc(0);
  onOverflow: () => void = () => undefined;

  constructor(child: ChildProcessWithoutNullStreams) {
    this.#child = child;
    child.stdout.on('data', (chunk: Buffer) => this.#keepOutput(chunk));
    child.stderr.on('data', (chunk: Buffer) => {
      this.#stderr = Buffer.concat([this.#stderr, chunk]).subarray(-stderrLimit);
    });
  }

  read(): { stdout: string; stderr: string } {
    return { stdout: Buffer.concat(this.#stdout).toString('utf8'), stderr: this.#stderr.toString('utf8') };
  }

  close(): void {
    this.#child.stdout.destroy();
    this.#child.stderr.destroy();
  }

  #keepOutput(chunk: Buffer): void {
    this.#stdoutLength += chunk.length;
    if (this.#stdoutLength > stdoutLimit) this.onOverflow();
    else this.#stdout.push(chunk);
  }
}
