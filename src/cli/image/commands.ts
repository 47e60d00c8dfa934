/** The subcommands of `berth image`. */
import { createReadStream } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';
import type { parseArgs } from 'node:util';
import type { ExportResponse__Output } from '../../cri-server/generated/berth/v1/ExportResponse.ts';
import type { ImportResponse__Output } from '../../cri-server/generated/berth/v1/ImportResponse.ts';
import type { InspectResponse__Output } from '../../cri-server/generated/berth/v1/InspectResponse.ts';
import type { PruneResponse__Output } from '../../cri-server/generated/berth/v1/PruneResponse.ts';
import type { PullProgress__Output } from '../../cri-server/generated/berth/v1/PullProgress.ts';
import type { RemoveResponse__Output } from '../../cri-server/generated/berth/v1/RemoveResponse.ts';
import type { TagResponse__Output } from '../../cri-server/generated/berth/v1/TagResponse.ts';
import type { VerifyResult__Output } from '../../cri-server/generated/berth/v1/VerifyResult.ts';
import type { ListImagesResponse__Output } from '../../cri-server/generated/runtime/v1/ListImagesResponse.ts';
import { formatTable } from '../table.ts';
import type { ImageCommand, Invocation } from './invocation.ts';
import { loginOf } from './login.ts';
import { ProgressView, pullLine } from './progress.ts';
import { push } from './push.ts';
import { formatBytes, shortDigest } from './size.ts';

export const imageFlags = {
  quiet: { type: 'boolean', short: 'q' },
  json: { type: 'boolean' },
  all: { type: 'boolean', short: 'a' },
  output: { type: 'string', short: 'o' },
  name: { type: 'string' },
  user: { type: 'string' },
  level: { type: 'string' },
} as const satisfies NonNullable<Parameters<typeof parseArgs>[0]>['options'];

const service = 'Images';

export const imageCommands: Readonly<Record<string, ImageCommand>> = {
  ls: { usage: 'ls [--quiet] [--json]', summary: 'images on this node', names: [0, 0], run: list },
  pull: { usage: 'pull [--user NAME:PASSWORD] REF', summary: 'pull an image and show how far each layer is', names: [1, 1], run: pull },
  push: { usage: 'push [--user NAME:PASSWORD] [--level 1-9] REF [NAME]', summary: 'send an image to a registry, under its own name or another', names: [1, 2], run: push },
  inspect: { usage: 'inspect REF', summary: 'names, layers, users and config of an image, as JSON', names: [1, 1], run: inspect },
  tag: { usage: 'tag REF NAME', summary: 'give an image one more name', names: [2, 2], run: tag },
  rm: { usage: 'rm REF...', summary: 'remove images with all their names', names: [1, Infinity], run: remove },
  prune: { usage: 'prune [--all]', summary: 'remove leftovers; with --all also images that no container uses', names: [0, 0], run: prune },
  verify: { usage: 'verify [REF]', summary: 'compare the files of every layer with what was pulled', names: [0, 1], run: verify },
  import: { usage: 'import [--name NAME] FILE|-', summary: 'take in the images of an OCI or Docker archive', names: [1, 1], run: importFile },
  export: { usage: 'export --output FILE|- REF...', summary: 'write images into an archive for skopeo, podman, docker load', names: [1, Infinity], run: exportFile },
};

async function list({ client, output, flags }: Invocation): Promise<number> {
  const { images } = (await client.call('ImageService', 'ListImages', {})) as ListImagesResponse__Output;
  if (flags['json'] === true) output.write(`${JSON.stringify(images, undefined, 2)}\n`);
  else if (flags['quiet'] === true) for (const { id } of images) output.write(`${id}\n`);
  else {
    const rows = images.flatMap(({ id, repo_tags, size, pinned }) =>
      (repo_tags.length === 0 ? ['<none>'] : repo_tags).map((name) => [name, shortDigest(id), formatBytes(size), pinned ? 'pinned' : '']),
    );
    output.write(formatTable([['NAME', 'ID', 'SIZE', ''], ...rows.toSorted((a, b) => (a[0] ?? '').localeCompare(b[0] ?? ''))]));
  }
  return 0;
}

async function pull({ client, output, names: [reference = ''], flags }: Invocation): Promise<number> {
  const view = new ProgressView(process.stderr.isTTY, (text) => output.complain(text));
  let id = '';
  for await (const message of client.stream(service, 'Pull', { reference, ...loginOf(flags) })) {
    const { image_id, layers } = message as PullProgress__Output;
    view.show(layers.map(pullLine));
    id = image_id;
  }
  output.write(`${id}\n`);
  return 0;
}

async function inspect({ client, output, names: [reference = ''] }: Invocation): Promise<number> {
  const image = (await client.call(service, 'Inspect', { reference })) as InspectResponse__Output;
  output.write(`${JSON.stringify({ ...image, config: JSON.parse(image.config) as unknown }, undefined, 2)}\n`);
  return 0;
}

async function tag({ client, output, names: [reference = '', name = ''] }: Invocation): Promise<number> {
  const tagged = (await client.call(service, 'Tag', { reference, name })) as TagResponse__Output;
  output.write(`${tagged.name}\n`);
  return 0;
}

async function remove({ client, output, names }: Invocation): Promise<number> {
  for (const reference of names) {
    const removed = (await client.call(service, 'Remove', { reference })) as RemoveResponse__Output;
    for (const name of removed.names) output.write(`removed ${name}\n`);
    output.write(`removed ${removed.id}, ${formatBytes(removed.freed_bytes)} freed\n`);
  }
  return 0;
}

async function prune({ client, output, flags }: Invocation): Promise<number> {
  const { image_ids, freed_bytes } = (await client.call(service, 'Prune', { unused_images: flags['all'] === true })) as PruneResponse__Output;
  for (const id of image_ids) output.write(`removed ${id}\n`);
  output.write(`${formatBytes(freed_bytes)} freed\n`);
  return 0;
}

async function verify({ client, output, names: [reference = ''] }: Invocation): Promise<number> {
  let bad = 0;
  for await (const message of client.stream(service, 'Verify', { reference })) {
    const { diff_id, names, problem } = message as VerifyResult__Output;
    if (problem !== '') bad += 1;
    output.write(`${problem === '' ? 'ok ' : 'BAD'}  ${shortDigest(diff_id)}  ${names[0] ?? ''}${problem === '' ? '' : `: ${problem}`}\n`);
  }
  if (bad > 0) output.complain(`${bad} layers are not what was pulled; images of damaged layers are no longer listed, and are pulled again when next needed\n`);
  return bad === 0 ? 0 : 1;
}

/** gRPC takes messages of 16 MiB; smaller ones keep both sides busy. */
const pieceBytes = 256 * 1024;

async function importFile({ client, output, names: [file = ''], flags }: Invocation): Promise<number> {
  const name = typeof flags['name'] === 'string' ? flags['name'] : '';
  const source = file === '-' ? process.stdin : createReadStream(file, { highWaterMark: pieceBytes });
  const requests = async function* (): AsyncGenerator<object, void, undefined> {
    yield { name };
    for await (const data of source as AsyncIterable<Buffer>) yield { data };
  };
  const { images } = (await client.upload(service, 'Import', requests())) as ImportResponse__Output;
  for (const { id, names } of images) output.write(`${shortDigest(id)}  ${names.join(' ')}\n`);
  return 0;
}

async function exportFile({ client, output, names, flags }: Invocation): Promise<number> {
  const target = flags['output'];
  if (typeof target !== 'string' || target === '') {
    output.complain('berth image export: --output is missing; give a file, or - for standard output\n');
    return 2;
  }
  const pieces = client.stream(service, 'Export', { references: names });
  if (target === '-') {
    for await (const piece of pieces) await written(process.stdout, (piece as ExportResponse__Output).data);
    return 0;
  }
  await writeWhole(target, pieces);
  return 0;
}

/** Under its name there is the whole archive or none. A device or a pipe is written to, never replaced. */
async function writeWhole(target: string, pieces: AsyncIterable<object>): Promise<void> {
  const there = await stat(target).catch(() => undefined);
  if (there !== undefined && !there.isFile()) {
    await using special = await open(target, 'w');
    for await (const piece of pieces) await special.writeFile((piece as ExportResponse__Output).data);
    return;
  }
  const part = `${target}.part`;
  try {
    await using file = await open(part, 'wx', 0o600);
    for await (const piece of pieces) await file.writeFile((piece as ExportResponse__Output).data);
    await file.sync();
    await rename(part, target);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') await rm(part, { force: true });
    throw error;
  }
}

async function written(stream: NodeJS.WriteStream, data: Uint8Array): Promise<void> {
  if (stream.write(data)) return;
  await new Promise((resolve) => stream.once('drain', resolve));
}
