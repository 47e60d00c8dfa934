/**
 * A container's root is compared with what umoci, which shares no code with Berth, unpacks from the same image. The
 * other CRI runtime that it is compared with is conformance/tree-listing.ts's.
 */

import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { mergedView } from '../harness/merged-view.ts';
import { json } from '../harness/oci-image.ts';
import type { Blob, BuiltImage } from '../harness/oci-image.ts';
import { useStage } from '../harness/stage.ts';
import { runtimeOwn, treeImages } from '../harness/tree-images.ts';
import { differences, listTree } from '../harness/tree-listing.ts';
import type { Listing } from '../harness/tree-listing.ts';

const stage = useStage({ images: treeImages, pulled: [], leaks: { images: true } });

/** Where umoci goes its own way and Berth that of containerd: each of these is seen, and nothing else. */
const umociDiffers: Readonly<Record<string, readonly RegExp[]>> = {
  // Attributes without a value are dropped; setting a directory's own ACL last lets its mode follow.
  'tree-attributes': [/^"a\/binary": user\.empty: 0x, and none$/, /^"a\/default": mode: /, /^"a\/default": system\.posix_acl_access: /],
  // A hard link's header says nothing about the file.
  'tree-links': [/^"(one\/(file|header-differs)|usr\/lib\/(other|third)-name)": (mode|mtime|owner): /],
  // A device 0/0 in an archive is a device, to overlayfs a whiteout.
  'tree-deletions': [/^"d\/was-dir": only in the second$/],
  'tree-names': [/^"n": mtime: \d+, and new$/],
  'tree-times': [/^"t\/after-2262": mtime: 0, and /, /^"t\/before-1970": mtime: 0, and -100500000000$/],
  // The root's own entry counts.
  'tree-implied': [/^"\.": mode: 755, and 700$/, /^"\.": owner: 0:0, and 1000:0$/, /^"i\/(secret|plain)": mtime: \d+, and new$/],
};

/** An OCI image layout with one image, tagged `latest`. */
function writeLayout(directory: string, image: BuiltImage): void {
  const blobs = path.join(directory, 'blobs/sha256');
  mkdirSync(blobs, { recursive: true });
  const write = ({ digest, bytes }: Blob): void => writeFileSync(path.join(blobs, digest.slice('sha256:'.length)), bytes);
  for (const blob of [image.manifest, image.config, ...image.layers]) write(blob);
  const { digest, mediaType, bytes } = image.manifest;
  const manifest = { mediaType, digest, size: bytes.length, annotations: { 'org.opencontainers.image.ref.name': 'latest' } };
  writeFileSync(path.join(directory, 'oci-layout'), json({ imageLayoutVersion: '1.0.0' }));
  writeFileSync(path.join(directory, 'index.json'), json({ schemaVersion: 2, manifests: [manifest] }));
}

/** What umoci makes of it. */
async function unpacked(image: BuiltImage): Promise<Listing> {
  const since = BigInt(Date.now()) * 1_000_000n;
  const directory = await stage.directory('umoci');
  writeLayout(path.join(directory, 'layout'), image);
  execFileSync('umoci', ['raw', 'unpack', '--image', `${directory}/layout:latest`, `${directory}/root`], { stdio: ['ignore', 'ignore', 'inherit'] });
  const listing = listTree(path.join(directory, 'root'), { skip: runtimeOwn, since });
  rmSync(directory, { recursive: true });
  return listing;
}

test.each(Object.keys(treeImages))('%s', async (repository) => {
  const build = treeImages[repository];
  const ours = await mergedView({ cri: stage.cri, logs: path.join(stage.daemon.directory, 'logs'), cgroupParent: await stage.cgroups.makePod(repository) }, stage.ref(repository));
  await stage.cgroups.removePod(repository);
  expect(ours.size).toBeGreaterThan(280);
  if (build === undefined) throw new Error(`${repository} is no image`);
  const found = differences(ours, await unpacked(build()));
  const known = umociDiffers[repository] ?? [];
  expect(found.filter((line) => !known.some((pattern) => pattern.test(line)))).toEqual([]);
  expect(known.filter((pattern) => !found.some((line) => pattern.test(line)))).toEqual([]);
});
