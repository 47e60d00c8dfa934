/**
 * Compares what containers of the same images find in Berth and in another CRI runtime, inode by inode:
 * `node conformance/tree-listing.ts --peer SOCKET --registry URL [--here] [--only NAME]`, as root.
 *
 * Both pull from the registry at URL, which takes pushes; the peer is set up to reach it without TLS. Where the peer
 * has namespaces of its own, start this in them: `nsenter -n -m -t PID …`, with --here. Each line that is printed for
 * an image is a difference, Berth's value first; the exit code is 1 when there is any that is not explained below.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { connectCri } from './harness/cri-client.ts';
import { prepareDaemon } from './harness/daemon.ts';
import { mergedView } from './harness/merged-view.ts';
import { push } from './harness/push.ts';
import { disputedImages, treeImages } from './harness/tree-images.ts';
import { differences } from './harness/tree-listing.ts';
import { runInWorld, inWorld } from './harness/world.ts';

const { values: options } = parseArgs({
  options: { peer: { type: 'string' }, registry: { type: 'string' }, here: { type: 'boolean', default: false }, only: { type: 'string' } },
});

/**
 * What containerd does otherwise, and why Berth does not.
 *
 * A directory that a layer does not list, but that one of its entries is in, has what a lower layer says of it. In
 * containerd all but the time, which is that of the unpacking.
 */
const impliedTime = /: mtime: \d+, and new$/;
const explained: Readonly<Record<string, readonly RegExp[]>> = {
  'tree-disputed': [
    // A layer's whiteout is about the layers below, so nothing of theirs shows in a directory that it makes anew.
    /^"x\/renewed\/old": only in the second$/,
    // ACLs as star, GNU tar and bsdtar write them; attributes as bsdtar does. containerd reads SCHILY.xattr alone.
    /^"x\/star-acl": /,
    /^"x\/bsd-attribute": user\.key: /,
    // What a mount of overlayfs could take for its own is left out.
    /^"x\/reserved": user\.overlay\.origin: none, and /,
    // A file has the ACL that the image gives it, and an implied directory no group that nobody gave it. Unpacked
    // below a directory that has its own already, both would inherit.
    /^"x\/default\/file": system\.posix_acl_access: none, and /,
    /^"x\/group\/implied": owner: 0:0, and 0:50$/,
  ],
};

async function compare(peer: string, url: string): Promise<number> {
  const { host } = new URL(url);
  const logs = await mkdtemp(path.join(tmpdir(), 'berth-trees-'));
  const daemon = await prepareDaemon({ registries: { [host]: url }, logLevel: 'info' });
  let found = 0;
  try {
    await daemon.start();
    const [own, other] = [connectCri(daemon.socket), connectCri(`unix://${peer.replace(/^unix:\/\//, '')}`)];
    for (const [repository, build] of Object.entries({ ...treeImages, ...disputedImages })) {
      if (options.only !== undefined && !repository.includes(options.only)) continue;
      await push({ url }, repository, 'latest', build());
      const [ours, theirs] = [await mergedView({ cri: own, logs }, `${host}/${repository}:latest`), await mergedView({ cri: other, logs }, `${host}/${repository}:latest`)];
      const lines = differences(ours, theirs);
      const unexplained = lines.filter((line) => ![impliedTime, ...(explained[repository] ?? [])].some((pattern) => pattern.test(line)));
      process.stdout.write(`${repository}: ${ours.size} paths, ${lines.length} differences, ${unexplained.length} of them not explained\n${unexplained.map((line) => `  ${line}\n`).join('')}`);
      found += unexplained.length;
    }
    own.close();
    other.close();
    return found === 0 ? 0 : 1;
  } finally {
    await daemon.dispose();
    await rm(logs, { recursive: true, force: true });
  }
}

if (options.peer === undefined || options.registry === undefined) {
  process.stderr.write('--peer SOCKET and --registry URL are needed\n');
  process.exitCode = 2;
} else if (inWorld()) {
  process.exitCode = await compare(options.peer, options.registry);
} else {
  const [, script = '', ...rest] = process.argv;
  process.exitCode = await runInWorld([process.execPath, script, ...rest], { pid: false, net: !options.here });
}
