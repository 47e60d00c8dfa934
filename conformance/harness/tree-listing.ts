/**
 * Everything that can be seen of a tree from outside: type, owner, mode, size, times, device numbers, names of one
 * inode, extended attributes (ACLs and capabilities among them), targets and contents. Two listings are compared.
 */

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { lstatSync, readFileSync, readdirSync, readlinkSync } from 'node:fs';
import type { BigIntStats } from 'node:fs';

export interface ListingOptions {
  /** Paths that are not looked at, with all below them: what a runtime puts into a container. */
  readonly skip?: readonly string[];
  /** Nanoseconds since the epoch: a time between this and now is not the image's, and is listed as `new`. */
  readonly since?: bigint;
}

/** Path, relative and with bytes that are no UTF-8 escaped → what is there, by field. */
export type Listing = ReadonlyMap<string, Readonly<Record<string, string>>>;

interface Found {
  readonly bytes: Buffer;
  readonly status: BigIntStats;
}

export function listTree(root: string, options: ListingOptions = {}): Listing {
  const found = new Map<string, Found>();
  // Not the link that it may be, as below /proc.
  const top = Buffer.from(`${root}/.`);
  const { dev } = lstatSync(top, { bigint: true });
  const skipped = new Set(options.skip ?? []);
  const walk = (directory: Buffer, inside: Buffer): void => {
    for (const name of readdirSync(directory, { encoding: 'buffer' })) {
      const bytes = inside.length === 0 ? name : Buffer.concat([inside, Buffer.from('/'), name]);
      const full = Buffer.concat([directory, Buffer.from('/'), name]);
      const status = lstatSync(full, { bigint: true });
      // Something is mounted there.
      if (skipped.has(shown(bytes)) || (status.isDirectory() && status.dev !== dev)) continue;
      found.set(shown(bytes), { bytes: full, status });
      if (status.isDirectory()) walk(full, bytes);
    }
  };
  found.set('.', { bytes: top, status: lstatSync(top, { bigint: true }) });
  walk(top, Buffer.alloc(0));
  return describe(found, options.since);
}

function describe(found: ReadonlyMap<string, Found>, since: bigint | undefined): Listing {
  const attributes = readAttributes([...found.values()].map(({ bytes }) => bytes));
  const names = namesByInode(found);
  const now = BigInt(Date.now()) * 1_000_000n;
  const listing = new Map<string, Readonly<Record<string, string>>>();
  for (const [path, { bytes, status }] of found) {
    const isNew = since !== undefined && status.mtimeNs >= since && status.mtimeNs <= now;
    listing.set(path, {
      ...identity(status),
      // The root's own time is its unpacking's.
      mtime: isNew || path === '.' ? 'new' : String(status.mtimeNs),
      ...(status.isDirectory() ? {} : { names: (names.get(inode(status)) ?? []).join(' ') }),
      ...content(bytes, status),
      ...attributes.get(bytes.toString('latin1')),
    });
  }
  return listing;
}

const types: Readonly<Record<string, string>> = { 1: 'fifo', 2: 'character device', 4: 'directory', 6: 'block device', 8: 'file', 10: 'symlink', 12: 'socket' };

function identity(status: BigIntStats): Readonly<Record<string, string>> {
  const device = status.isBlockDevice() || status.isCharacterDevice();
  return {
    type: types[String(status.mode >> 12n)] ?? '?',
    mode: (status.mode & 0o7777n).toString(8),
    owner: `${status.uid}:${status.gid}`,
    ...(device ? { device: String(status.rdev) } : {}),
  };
}

function content(path: Buffer, status: BigIntStats): Readonly<Record<string, string>> {
  if (status.isSymbolicLink()) return { target: shown(readlinkSync(path, { encoding: 'buffer' })) };
  if (!status.isFile()) return {};
  return { size: String(status.size), sha256: createHash('sha256').update(readFileSync(path)).digest('hex') };
}

const inode = (status: BigIntStats): string => `${status.dev}:${status.ino}`;

function namesByInode(found: ReadonlyMap<string, Found>): ReadonlyMap<string, readonly string[]> {
  const names = new Map<string, string[]>();
  for (const [path, { status }] of found) {
    if (!status.isDirectory()) names.set(inode(status), [...(names.get(inode(status)) ?? []), path].sort());
  }
  return names;
}

/** By getfattr of Debian's `attr`, in all namespaces, symlinks' own. Keyed by the path's bytes as Latin-1. */
function readAttributes(paths: readonly Buffer[]): ReadonlyMap<string, Readonly<Record<string, string>>> {
  const input = Buffer.concat(paths.flatMap((path) => [path, Buffer.from([0])]));
  const { status, stdout, stderr, error } = spawnSync('xargs', ['-0', 'getfattr', '-h', '-P', '-d', '-m', '-', '-e', 'hex', '--absolute-names', '--'], { input, maxBuffer: 1 << 28 });
  if (error !== undefined || status !== 0) throw new Error(`getfattr: ${error?.message ?? stderr.toString()}`);
  const attributes = new Map<string, Record<string, string>>();
  let current: Record<string, string> = {};
  for (const line of stdout.toString('latin1').split('\n')) {
    if (line.startsWith('# file: ')) attributes.set(unescaped(line.slice(8)), (current = {}));
    else if (line !== '') current[line.slice(0, line.includes('=') ? line.indexOf('=') : undefined)] = line.includes('=') ? line.slice(line.indexOf('=') + 1) : '';
  }
  return attributes;
}

/** getfattr writes what is not printable, and the backslash, as three octal digits. */
const unescaped = (text: string): string => text.replace(/\\(\d{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));

/** UTF-8 where it is, each byte above 0x7f as \xNN where it is not. */
function shown(bytes: Buffer): string {
  const text = bytes.toString('utf8');
  if (Buffer.from(text).equals(bytes)) return text;
  return bytes.toString('latin1').replace(/[\u0080-\u00ff]/g, (character) => `\\x${character.charCodeAt(0).toString(16)}`);
}

/** One line for each field that differs, and for each path that only one has; none when they are equal. */
export function differences(one: Listing, other: Listing): string[] {
  const lines: string[] = [];
  for (const path of new Set([...one.keys(), ...other.keys()])) {
    const [left, right] = [one.get(path), other.get(path)];
    if (left === undefined || right === undefined) {
      lines.push(`${JSON.stringify(path)}: only in the ${left === undefined ? 'second' : 'first'}`);
      continue;
    }
    for (const field of new Set([...Object.keys(left), ...Object.keys(right)])) {
      if (left[field] !== right[field]) lines.push(`${JSON.stringify(path)}: ${field}: ${left[field] ?? 'none'}, and ${right[field] ?? 'none'}`);
    }
  }
  return lines.sort();
}
