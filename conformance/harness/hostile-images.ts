/** Images that a registry could serve to do harm, or that are simply broken. */

import { readFileSync } from 'node:fs';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { blobOf, buildImage, buildLayer, digestOf, layerOfTar, mediaTypes } from './oci-image.ts';
import type { BuiltImage, BuiltLayer } from './oci-image.ts';
import { busyboxLayer } from './images.ts';
import { BUSYBOX, blockdev, chardev, dir, file, hardlink, symlink } from './root-fs.ts';
import { writeTar } from './tar-writer.ts';

/** A name that climbs out of the layer's directory. */
export function dotDot(name: string): BuiltImage {
  return buildImage([busyboxLayer(), buildLayer([dir('innocent'), file(name, 'escaped\n')])], { Cmd: ['sh'] });
}

/** A symlink to `target`, then an entry written through it. */
export function throughSymlink(target: string, name: string): BuiltImage {
  return buildImage([busyboxLayer(), buildLayer([symlink('exit', target), file(`exit/${name}`, 'escaped\n')])], { Cmd: ['sh'] });
}

/** A hard link whose target is a file of the host. */
export function hardlinkToHost(target: string): BuiltImage {
  return buildImage([busyboxLayer(), buildLayer([hardlink('stolen', target)])], { Cmd: ['sh'] });
}

/** The config names an uncompressed digest that the layer does not have. */
export function wrongDiffId(): BuiltImage {
  const layer = buildLayer([file('liar', 'x')]);
  return buildImage([busyboxLayer(), layer], { Cmd: ['sh'] }, {
    diffIds: [busyboxLayer().diffId, digestOf(Buffer.from('something else'))],
  });
}

/** A layer that is gzip, but no tar inside. */
export function notATar(): BuiltImage {
  return buildImage([busyboxLayer(), layerOfTar(Buffer.alloc(4096, 'not a tar archive. '), 'gzip')], { Cmd: ['sh'] });
}

/** A big layer, so that a connection can be cut in the middle of it. */
export function big(bytes: number): BuiltImage {
  // Incompressible, and the same in each run.
  const noise = Buffer.alloc(bytes);
  let state = 0x9e3779b9;
  for (let at = 0; at + 4 <= bytes; at += 4) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    noise.writeInt32LE(state | 0, at);
  }
  return buildImage([busyboxLayer(), buildLayer([file('noise', noise)], 'none')], { Cmd: ['sh'] });
}

/** Compressed parts, one after the other: how many bytes come out is for whoever reads it to bear. */
function layerOfParts(parts: readonly Buffer[], compression: 'gzip' | 'zstd'): BuiltLayer {
  // Nobody gets as far as comparing the diff ID.
  const never = digestOf(Buffer.from('never unpacked'));
  return { ...blobOf(Buffer.concat(parts)), diffId: never, mediaType: `${mediaTypes.layer}+${compression}` };
}

const times = <T>(count: number, part: T): T[] => Array.from({ length: count }, () => part);

/** A tar of as many empty files as that, ten thousand names over and over, in a few hundred kilobytes. */
export function emptyEntries(count: number): BuiltImage {
  const names = 10_000;
  const entries = writeTar(Array.from({ length: names }, (_, index) => file(`e${index}`, ''))).subarray(0, names * 512);
  return buildImage([busyboxLayer(), layerOfParts(times(count / names, zstdCompressSync(entries)), 'zstd')], { Cmd: ['sh'] });
}

/** One file of zeros, so many GiB of them. */
export function zeros(gibibytes: number, compression: 'gzip' | 'zstd'): BuiltImage {
  const compress = compression === 'gzip' ? gzipSync : zstdCompressSync;
  const entry = writeTar([file('zeros', '', { pax: { size: String(gibibytes * 2 ** 30) } })]).subarray(0, 3 * 512);
  const mebibytes = compress(Buffer.alloc(16 << 20));
  return buildImage([busyboxLayer(), layerOfParts([compress(entry), ...times(gibibytes * 64, mebibytes)], compression)], { Cmd: ['sh'] });
}

/** Compressed twice: what a reader that goes on until nothing is compressed any more would blow up. */
export function compressedTwice(): BuiltImage {
  const inner = Buffer.concat(times(256, gzipSync(Buffer.alloc(16 << 20))));
  return buildImage([busyboxLayer(), layerOfTar(inner, 'gzip')], { Cmd: ['sh'] });
}

/** A file of GNU's old sparse format, whose map goes on for 1.2 GiB. */
export function endlessMap(): BuiltImage {
  const header = writeTar([file('sparse', '', { typeFlag: 'S' })]).subarray(0, 512);
  const piece = Buffer.from(`${'1'.padStart(11, '0')} ${'0'.padStart(11, '0')} `);
  header.write('ustar  \0', 257, 'latin1');
  for (let at = 0; at < 4; at += 1) piece.copy(header, 386 + at * 24);
  header[482] = 1;
  header.write(`${'1'.padStart(11, '0')} `, 483, 'latin1');
  header.fill(' ', 148, 156);
  header.write(`${header.reduce((sum, byte) => sum + byte, 0).toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  const more = Buffer.concat([...times(21, piece), Buffer.from([1, 0, 0, 0, 0, 0, 0, 0])]);
  return buildImage([busyboxLayer(), layerOfParts([zstdCompressSync(header), ...times(300, zstdCompressSync(Buffer.concat(times(8192, more))))], 'zstd')], { Cmd: ['sh'] });
}

/** Directories in directories, so many, each in the one before. */
export function deep(levels: number): BuiltImage {
  return buildImage([busyboxLayer(), buildLayer([file(`${'d/'.repeat(levels)}file`, 'deep\n')])], { Cmd: ['sh'] });
}

/** The node's own disk and memory as devices, and a program that would be root's. */
export function dangerousFiles(): BuiltImage {
  return buildImage([busyboxLayer(), buildLayer([dir('dangerous'), blockdev('dangerous/disk', 8, 0), chardev('dangerous/mem', 1, 1), file('dangerous/root-shell', readFileSync(BUSYBOX), { mode: 0o6755 })])], { Cmd: ['sh'] });
}

/** So many empty files with names of their own. */
export function emptyFiles(count: number): BuiltImage {
  return buildImage([busyboxLayer(), buildLayer(Array.from({ length: count }, (_, index) => file(`e${index}`, '')))], { Cmd: ['sh'] });
}
