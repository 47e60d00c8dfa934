/**
 * Images that between them have everything a layer can say of a file. Each has a base with a shell and with all the
 * places that a runtime mounts something on, so that a container of it is seen as the image left it.
 */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, openSync, rmSync, closeSync, writeSync, ftruncateSync, utimesSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { attributes, layered } from './images.ts';
import { EPOCH, buildImage, buildLayer, layerOfTar } from './oci-image.ts';
import type { BuiltImage, BuiltLayer } from './oci-image.ts';
import { blockdev, busyboxRoot, chardev, dir, fifo, file, hardlink, opaque, symlink, whiteout } from './root-fs.ts';
import type { TarEntry } from './tar-writer.ts';

/** What runtimes put into a container. */
export const runtimeOwn = ['dev', 'proc', 'sys', 'etc/hosts', 'etc/hostname', 'etc/resolv.conf'];

/** GNU tar writes them in four formats; `gnu` is the oldest, which containerd does not take. */
export type SparseFormat = '0.0' | '0.1' | '1.0' | 'gnu';

function base(): BuiltLayer {
  return buildLayer([...busyboxRoot(), dir('dev'), dir('proc'), dir('run'), dir('sys'), ...['hostname', 'hosts', 'resolv.conf'].map((name) => file(`etc/${name}`, ''))]);
}

const image = (...layers: readonly (readonly TarEntry[])[]): BuiltImage => buildImage([base(), ...layers.map((entries) => buildLayer(entries))], { Cmd: ['sh'] });

/** posix_acl_xattr: version 2, then tag, permissions and id of each entry. */
function acl(...entries: readonly (readonly [tag: number, permissions: number, id?: number])[]): Buffer {
  const out = Buffer.alloc(4 + entries.length * 8);
  out.writeUInt32LE(2, 0);
  for (const [at, [tag, permissions, id]] of entries.entries()) {
    out.writeUInt16LE(tag, 4 + at * 8);
    out.writeUInt16LE(permissions, 6 + at * 8);
    out.writeUInt32LE(id ?? 0xffffffff, 8 + at * 8);
  }
  return out;
}

const userMayRead = acl([1, 6], [2, 4, 1000], [4, 4], [8, 4, 2000], [16, 6], [32, 0]);
const inherited = acl([1, 7], [2, 7, 1000], [4, 5], [16, 7], [32, 5]);
const capability = Buffer.from('0100000200200000000000000000000000000000', 'hex');

const withAttributes = (): BuiltImage =>
  image([
    dir('a', { mode: 0o2751, uid: 1000, gid: 2000, xattrs: { 'user.dir': Buffer.from('d') } }),
    file('a/acl', 'x', { mode: 0o660, xattrs: { 'system.posix_acl_access': userMayRead } }),
    file('a/capable', 'x', { mode: 0o755, uid: 7, xattrs: { 'security.capability': capability } }),
    file('a/binary', 'x', { xattrs: { 'user.binary': Buffer.from([0, 255, 10, 61]), 'user.empty': Buffer.alloc(0), 'user.large': Buffer.alloc(2000, 'v') } }),
    file('a/set', 'x', { mode: 0o6755, uid: 1001, gid: 2001 }),
    file('a/far', 'x', { pax: { uid: '4000000000', gid: '3000000000' } }),
    file('a/none', 'x', { mode: 0 }),
    dir('a/default', { mode: 0o770, xattrs: { 'system.posix_acl_default': inherited, 'system.posix_acl_access': inherited } }),
    dir('a/sticky', { mode: 0o1777 }),
    chardev('a/character', 1, 3),
    chardev('a/high', 4095, 1_048_575 & 0x3ffff, { mode: 0o600, gid: 5 }),
    blockdev('a/block', 8, 300),
    fifo('a/fifo', { mode: 0o622, uid: 33 }),
    symlink('a/link', '/nowhere', { uid: 1000, gid: 1000, mtime: EPOCH - 5 }),
    hardlink('a/capable-too', 'a/capable', { mode: 0o755, uid: 7, xattrs: { 'security.capability': capability } }),
  ]);

const withLinks = (): BuiltImage =>
  image([
    dir('usr/lib'),
    symlink('lib', 'usr/lib'),
    file('lib/through', '1'),
    symlink('absolute', '/usr/lib'),
    file('absolute/too', '2'),
    dir('one'),
    symlink('one/dangling', '../two/three'),
    file('one/dangling/made', '3'),
    file('one/file', 'shared'),
    hardlink('usr/lib/other-name', 'one/file'),
    hardlink('lib/third-name', 'usr/lib/other-name'),
    symlink('one/soft', 'file'),
    hardlink('one/hard-to-soft', 'one/soft', { mode: 0o777 }),
    hardlink('one/header-differs', 'one/file', { mode: 0o600, uid: 9, mtime: EPOCH + 9 }),
    file('one/rewritten', 'old'),
    hardlink('one/kept', 'one/rewritten'),
    file('one/rewritten', 'new and longer', { mode: 0o755 }),
    file('one/twice', 'x'),
    dir('one/twice'),
    file('one/twice/in', 'x'),
    dir('one/again', { mode: 0o700, uid: 3 }),
    file('one/again/in', 'x'),
    dir('one/again', { mode: 0o711, uid: 4, mtime: EPOCH - 100 }),
    symlink('one/exchanged', '../usr'),
    dir('one/exchanged'),
    file('one/exchanged/in', 'x'),
    symlink(`one/${'l'.repeat(90)}`, 't'.repeat(3000)),
  ]);

const withDeletions = (): BuiltImage =>
  image(
    [dir('d'), dir('d/gone'), file('d/gone/file', '1'), dir('d/opaque', { mode: 0o750, uid: 5 }), file('d/opaque/old', '1'), dir('d/opaque/below'), file('d/opaque/below/old', '1'), dir('d/was-dir'), file('d/was-dir/in', '1'), file('d/was-file', '1'), symlink('d/was-link', 'gone'), file('d/removed', '1'), dir('d/renewed', { mode: 0o700 }), file('d/renewed/old', '1')],
    [dir('d', { mode: 0o711, mtime: EPOCH + 1 }), whiteout('d/gone'), dir('d/opaque', { mode: 0o700, uid: 6 }), file('d/opaque/new', '2'), opaque('d/opaque'), dir('d/opaque/below'), file('d/was-dir', 'a file now'), dir('d/was-file'), file('d/was-file/in', '2'), dir('d/was-link'), file('d/was-link/in', '2'), whiteout('d/removed'), whiteout('d/renewed')],
    [file('d/removed', 'back', { mode: 0o4711 }), dir('d/renewed', { mode: 0o755 }), file('d/renewed/new', '3'), chardev('d/was-dir', 0, 0), whiteout('d/never-was')],
  );

const withNames = (): BuiltImage =>
  image([
    dir('n'),
    file(`n/${'x'.repeat(255)}`, '1'),
    file(`n/${'y'.repeat(90)}/${'z'.repeat(200)}/${'w'.repeat(255)}`, '1'),
    file('n/ä€𝄞', 'utf-8'),
    file('n/in-pax', 'utf-8', { pax: { path: 'n/ü-in-pax' } }),
    file('n/bytes-in-pax', 'not utf-8', { pax: { path: Buffer.from('6e2fff8062', 'hex') } }),
    file('n/new\nline', '1'),
    file('n/ends with space ', '1'),
    file('n/back\\slash', '1'),
    file('n/quote"', '1'),
    file('n/.whiteout', 'none'),
    file('n/...', 'three dots'),
    file('./n/./dotted//x', '1'),
    file('/n/absolute', '1'),
    symlink('n/link', 'ü', { pax: { linkpath: 'ü/in/pax' } }),
    file(`n/${'d/'.repeat(120)}deep`, '1'),
  ]);

const withTimes = (): BuiltImage =>
  image([
    dir('t', { mtime: EPOCH - 1000 }),
    file('t/nanoseconds', 'x', { pax: { mtime: '1234567890.123456789' } }),
    file('t/before-1970', 'x', { mtime: 0, pax: { mtime: '-100.5' } }),
    file('t/epoch', 'x', { mtime: 0 }),
    file('t/after-2038', 'x', { pax: { mtime: '2200000000.5' } }),
    file('t/after-2106', 'x', { pax: { mtime: '4400000000' } }),
    file('t/after-2262', 'x', { pax: { mtime: '9300000000' } }),
    file('t/accessed', 'x', { pax: { atime: '1800000000', mtime: '1700000000.25' } }),
    symlink('t/link', 'x', { pax: { mtime: '1111111111.000000001' } }),
    dir('t/later', { mtime: EPOCH - 2000 }),
    file('t/later/in', 'x'),
    dir('t/later/deeper', { pax: { mtime: '1000000000.999999999' } }),
    file('t/later/deeper/in', 'x'),
    fifo('t/fifo', { mtime: EPOCH - 3 }),
  ]);

/** Layers that name files without the directories above them, and one that describes its root. */
const withImplied = (): BuiltImage =>
  image(
    [dir('i', { mode: 0o750, uid: 10, gid: 20, mtime: EPOCH - 7 }), dir('i/secret', { mode: 0o700, uid: 11, mtime: EPOCH - 8, xattrs: { 'user.kept': Buffer.from('k') } }), dir('i/plain')],
    [file('i/secret/deep/file', '1'), file('tmp/scratch', '1', { mode: 0o600 }), file('new/dir/file', '1')],
    [dir('./', { mode: 0o700, uid: 1000 }), file('./i/secret/deep/other', '2'), file('./i/plain/x', '2')],
  );

/** Made by GNU tar from a file with holes at its beginning, in its middle and at its end. */
export function withSparse(formats: readonly SparseFormat[]): BuiltImage {
  const directory = mkdtempSync(path.join(tmpdir(), 'berth-sparse-'));
  try {
    const layers = formats.map((format) => layerOfTar(sparseTar(directory, format), 'gzip'));
    return buildImage([base(), ...layers], { Cmd: ['sh'] });
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function sparseTar(directory: string, format: SparseFormat): Buffer {
  const name = `sparse-${format}`;
  const fd = openSync(path.join(directory, name), 'w', 0o644);
  for (const [at, text] of [[1_000_000, 'first'], [3_000_000, 'second'], [3_100_000, 'third']] as const) writeSync(fd, text, at);
  ftruncateSync(fd, 5_000_000);
  closeSync(fd);
  utimesSync(path.join(directory, name), EPOCH, EPOCH);
  const how = format === 'gnu' ? ['--format=gnu'] : ['--format=pax', `--sparse-version=${format}`, '--pax-option=delete=atime,delete=ctime'];
  return execFileSync('tar', ['-C', directory, '--sparse', '--owner=5', '--group=6', ...how, '-cf', '-', name], { maxBuffer: 1 << 26 });
}

/** By repository. */
export const treeImages: Readonly<Record<string, () => BuiltImage>> = {
  'tree-attributes': withAttributes,
  'tree-links': withLinks,
  'tree-deletions': withDeletions,
  'tree-names': withNames,
  'tree-times': withTimes,
  'tree-implied': withImplied,
  'tree-sparse': () => withSparse(['0.0', '0.1', '1.0']),
  'tree-simple-attributes': () => onBase(attributes()),
  'tree-simple-layers': () => onBase(layered()),
};

/** What the image specification leaves open, or what not every runtime takes in. */
export const disputedImages: Readonly<Record<string, () => BuiltImage>> = {
  'tree-disputed': () =>
    image(
      [dir('x'), dir('x/renewed'), file('x/renewed/old', '1'), dir('x/setgid', { mode: 0o2755, gid: 50 })],
      [
        dir('x'),
        whiteout('x/renewed'),
        dir('x/renewed'),
        file('x/renewed/new', '2'),
        file('x/star-acl', 'x', { mode: 0o640, pax: { 'SCHILY.acl.access': 'user::rw-,user:lisa:r--:1000,group::r--,mask::r--,other::---' } }),
        file('x/bsd-attribute', 'x', { pax: { 'LIBARCHIVE.xattr.user.key': 'dmFsdWU' } }),
        file('x/reserved', 'x', { xattrs: { 'user.overlay.origin': Buffer.from('x') } }),
        dir('x/default', { xattrs: { 'system.posix_acl_default': inherited } }),
        file('x/default/file', 'x', { mode: 0o640 }),
        dir('x/group', { mode: 0o2755, gid: 50 }),
        file('x/group/implied/file', 'x'),
      ],
    ),
};

/** The same upper layers with this file's base. */
function onBase(other: BuiltImage): BuiltImage {
  return buildImage([base(), ...other.layers.slice(1)], { Cmd: ['sh'] });
}
