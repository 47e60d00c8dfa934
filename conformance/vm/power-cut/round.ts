/**
 * Runs in a machine: tells what the last power cut has left of the image store on /disk, then removes all of it and
 * pulls until the power goes again. The argument says when: milliseconds after the first pull began, `answered`: as
 * soon as the first pull is, `never`.
 */

import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import { berth } from '../../harness/berth-command.ts';
import { connectCri } from '../../harness/cri-client.ts';
import type { CriClient } from '../../harness/cri-client.ts';
import { prepareDaemon } from '../../harness/daemon.ts';
import type { Daemon } from '../../harness/daemon.ts';
import { big } from '../../harness/hostile-images.ts';
import { busyboxLayer } from '../../harness/images.ts';
import { buildImage, buildLayer } from '../../harness/oci-image.ts';
import type { BuiltImage } from '../../harness/oci-image.ts';
import { push } from '../../harness/push.ts';
import { startRegistry } from '../../harness/registry.ts';
import { dir, file } from '../../harness/root-fs.ts';

/** A line of JSON, which is outside when this returns. */
export interface Report {
  readonly listed: readonly string[];
  /** What `berth image verify` says: exit code 0 is all well. */
  readonly verified: { readonly code: number; readonly stdout: string; readonly stderr: string };
  /** Whether the start found that the machine had gone down. */
  readonly wentDown: boolean;
}

const HOST = 'power.test';
const NAMES = ['one', 'two', 'three'];

const tell = (what: object): void => void writeSync(1, `${JSON.stringify(what)}\n`);

/** Nothing is flushed: the machine is gone with this write. */
const cut = (): void => writeFileSync('/proc/sysrq-trigger', 'b');

function image(name: string): BuiltImage {
  const directories = Array.from({ length: 10 }, (_, index) => dir(`${name}/${index}`));
  const files = Array.from({ length: 300 }, (_, index) => file(`${name}/${index % 10}/f${index}`, `${name} ${index}\n`.repeat(100)));
  const noise = big(2_000_000).layers[1];
  if (noise === undefined) throw new Error('the big image has lost its layer');
  return buildImage([busyboxLayer(), noise, buildLayer([dir(name), ...directories, ...files])]);
}

async function look(daemon: Daemon, cri: CriClient): Promise<Report> {
  const { images } = await cri.call('ListImages', {});
  const { code, stdout, stderr } = await berth(daemon.socket, ['image', 'verify']);
  return {
    listed: images.flatMap(({ repo_tags }) => repo_tags.map((tag) => tag.replace(`${HOST}/`, '').replace(':latest', ''))),
    verified: { code, stdout, stderr },
    wentDown: daemon.log.some((line) => line.includes('the machine went down while the store was open')),
  };
}

/** Everything is removed; what is left all the same, by name. */
async function removeAll(daemon: Daemon, cri: CriClient): Promise<readonly string[]> {
  for (const { id } of (await cri.call('ListImages', {})).images) await cri.call('RemoveImage', { image: { image: id } });
  await berth(daemon.socket, ['image', 'prune']);
  const { image_filesystems: [usage] } = await cri.call('ImageFsInfo', {});
  const left = ['layers/sha256', 'images/blobs/sha256', 'images/quarantine', 'trash'].flatMap((name) =>
    readdirSync(path.join(daemon.root, name)).map((entry) => `${name}/${entry}`),
  );
  return usage?.used_bytes?.value === '0' ? left : [...left, `${String(usage?.used_bytes?.value)} bytes reported`];
}

async function main(when: string): Promise<void> {
  const registry = await startRegistry();
  for (const name of NAMES) await push(registry, name, 'latest', image(name));
  const daemon = await prepareDaemon({ registries: { [HOST]: registry.url }, logLevel: 'warn' });
  mkdirSync('/disk/root', { recursive: true });
  execFileSync('mount', ['--bind', '/disk/root', daemon.root]);
  await daemon.start();
  const cri = connectCri(daemon.socket);
  const pull = async (name: string): Promise<void> => {
    await cri.call('PullImage', { image: { image: `${HOST}/${name}:latest` } }, { timeoutMs: 300_000 });
    tell({ pulled: name });
  };
  tell(await look(daemon, cri));
  tell({ left: await removeAll(daemon, cri) });
  const began = performance.now();
  if (/^\d+$/.test(when)) setTimeout(cut, Number(when));
  await pull('one');
  if (when === 'answered') cut();
  await Promise.all([pull('two'), pull('three')]);
  tell({ took: Math.round(performance.now() - began) });
  cri.close();
  await daemon.stop();
  await registry.stop();
}

await main(process.argv[2] ?? 'never');
