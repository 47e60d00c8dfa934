/** From seccomp profiles to compiled filters, which the shims load: compiled once, then a file that is there. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { access, mkdir, open, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { arch, release } from 'node:os';
import { join } from 'node:path';
import { version } from '../../config/version.ts';
import { BerthError, invalidField } from '../../errors/catalogue.ts';
import { defaultSeccompProfile } from './seccomp-default.ts';
import type { ProfileChoice } from './profile-choice.ts';

/** As berth-seccomp's. */
const maxProfile = 4 * 1024 * 1024;
/** 4096 instructions of 8 bytes, and a header. */
const maxFilter = 64 * 1024;
const compileTimeout = 30_000;

export interface SeccompFilters {
  /**
   * The path of the filter for a container with these capabilities ("CAP_CHOWN", its bounding set); undefined for
   * none. Throws INVALID_FIELD, naming the field and the file, for a profile that cannot be read or is wrong.
   */
  filter(choice: ProfileChoice, capabilities: readonly string[]): Promise<string | undefined>;
}

/**
 * `directory` is emptied: what is left there may be another version's, and a filter takes milliseconds to make.
 * Shims have read theirs when they were made.
 */
export async function openSeccompFilters(options: { readonly program: string; readonly directory: string }): Promise<SeccompFilters> {
  const { program, directory } = options;
  await mkdir(directory, { recursive: true, mode: 0o700 });
  for (const name of await readdir(directory)) await rm(join(directory, name), { force: true });
  const underWay = new Map<string, Promise<void>>();

  const compiled = async (profile: string | Buffer, capabilities: readonly string[], wrong: (problem: string) => BerthError): Promise<string> => {
    const sorted = [...capabilities].sort();
    const digest = createHash('sha256').update([version, arch(), release(), sorted.join(), ''].join('\n')).update(profile).digest('hex');
    const path = join(directory, digest);
    if (await exists(path)) return path;
    let making = underWay.get(digest);
    if (making === undefined) {
      making = compile(program, profile, sorted, path, wrong).finally(() => underWay.delete(digest));
      underWay.set(digest, making);
    }
    await making;
    return path;
  };

  return {
    async filter(choice, capabilities) {
      if (choice.kind === 'unconfined') return undefined;
      if (choice.kind === 'default') {
        return compiled(defaultSeccompProfile, capabilities, (problem) => new BerthError('CONTAINER_SETUP_FAILED', `the default seccomp profile: ${problem}`));
      }
      const { name, field } = choice;
      return compiled(await readProfile(name, field), capabilities, (problem) => invalidField(field, `${name}: ${problem}`));
    },
  };
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(() => true, () => false);
}

async function readProfile(path: string, field: string): Promise<Buffer> {
  try {
    await using file = await open(path, 'r');
    const info = await file.stat();
    if (!info.isFile()) throw invalidField(field, `${path} is not a file`);
    if (info.size > maxProfile) throw invalidField(field, `${path} is larger than ${maxProfile} bytes`);
    return await file.readFile();
  } catch (cause) {
    if (cause instanceof BerthError) throw cause;
    throw new BerthError('INVALID_FIELD', `${field}: ${path} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

async function compile(
  program: string,
  profile: string | Buffer,
  capabilities: readonly string[],
  path: string,
  wrong: (problem: string) => BerthError,
): Promise<void> {
  const filter = await run(program, ['--capabilities', capabilities.join()], profile, wrong);
  const part = `${path}.part`;
  await writeFile(part, filter, { mode: 0o600 });
  await rename(part, path);
}

/** Resolves with the program's output; what it says of a profile that it refuses goes to `wrong`. */
async function run(program: string, args: readonly string[], input: string | Buffer, wrong: (problem: string) => BerthError): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const options = { encoding: 'buffer', maxBuffer: maxFilter, timeout: compileTimeout, killSignal: 'SIGKILL', env: {}, cwd: '/' } as const;
  const child = execFile(program, [...args], options, (failure, output, complaint) => {
    if (failure === null) return resolve(output);
    const said = complaint.toString('utf8').trim();
    if (failure.code === 1 && said !== '') return reject(wrong(said));
    reject(new BerthError('CONTAINER_SETUP_FAILED', `${program}: ${said || failure.message}`, { cause: failure }));
  });
  // A program that ends early closes its input; how it ended tells why.
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(input);
  return promise;
}
