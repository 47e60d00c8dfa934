/** A real docker-registry on 127.0.0.1 with its storage in a temporary directory. */

import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface RegistryServer {
  readonly host: string;
  stop(): Promise<void>;
}

export async function startRegistryServer(program: string): Promise<RegistryServer> {
  const directory = await mkdtemp(join(tmpdir(), 'berth-registry-'));
  const configuration = join(directory, 'config.yml');
  await writeFile(
    configuration,
    `version: 0.1\nlog: {level: info, formatter: json}\nstorage: {filesystem: {rootdirectory: ${join(directory, 'storage')}}}\nhttp: {addr: "127.0.0.1:0", secret: test}\n`,
  );
  const child = spawn(program, ['serve', configuration], { stdio: ['ignore', 'ignore', 'pipe'] });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM');
    await exited;
    await rm(directory, { recursive: true, force: true });
  };
  // Its log is read to the end: a registry that cannot log stops.
  const host = await new Promise<string | undefined>((resolve) => {
    let text = '';
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      text = (text + chunk).slice(-10_000);
      const address = /listening on (127\.0\.0\.1:[0-9]+)/.exec(text)?.[1];
      if (address !== undefined) resolve(address);
    });
    child.once('exit', () => resolve(undefined));
  });
  if (host !== undefined) return { host, stop };
  await stop();
  throw new Error(`${program} did not start`);
}
