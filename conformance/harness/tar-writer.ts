/**
 * Writes tar archives byte by byte, so that the tests can put into a layer exactly what they mean to:
 * names that no archiver would write, hard links, devices, extended attributes, whiteouts.
 * Format: POSIX ustar, with a pax header before an entry that needs one.
 */

export type TarKind = 'file' | 'hardlink' | 'symlink' | 'chardev' | 'blockdev' | 'dir' | 'fifo';

export interface TarEntry {
  /** Written as it is: `../x` stays `../x`. Directories get their final slash here. */
  readonly name: string;
  readonly kind: TarKind;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Seconds since the epoch. */
  readonly mtime: number;
  readonly data?: Buffer;
  /** Target of a symlink or hard link. */
  readonly link?: string;
  readonly device?: { readonly major: number; readonly minor: number };
  readonly xattrs?: Readonly<Record<string, Buffer>>;
  /** Records of a pax header as they are, in place of those that the other fields would give. */
  readonly pax?: Readonly<Record<string, string | Buffer>>;
  /** In place of the kind's own, such as `7` or `S`. */
  readonly typeFlag?: string;
}

const typeFlags: Record<TarKind, string> = {
  file: '0',
  hardlink: '1',
  symlink: '2',
  chardev: '3',
  blockdev: '4',
  dir: '5',
  fifo: '6',
};

const BLOCK = 512;

export function writeTar(entries: readonly TarEntry[]): Buffer {
  const parts: Buffer[] = [];
  for (const entry of entries) parts.push(...entryBlocks(entry));
  parts.push(Buffer.alloc(2 * BLOCK));
  return Buffer.concat(parts);
}

function entryBlocks(entry: TarEntry): Buffer[] {
  const name = entry.kind === 'dir' && !entry.name.endsWith('/') ? `${entry.name}/` : entry.name;
  const data = entry.kind === 'file' ? (entry.data ?? Buffer.alloc(0)) : Buffer.alloc(0);
  const records = paxRecords(name, entry);
  const blocks: Buffer[] = [];
  if (records.length > 0) {
    const body = Buffer.concat(records);
    blocks.push(header({ name: 'pax', flag: 'x', mode: 0o644, uid: 0, gid: 0, mtime: 0, size: body.length }), padded(body));
  }
  blocks.push(
    header({
      name,
      flag: entry.typeFlag ?? typeFlags[entry.kind],
      mode: entry.mode,
      uid: entry.uid,
      gid: entry.gid,
      mtime: Math.floor(entry.mtime),
      size: data.length,
      link: entry.link ?? '',
      device: entry.device,
    }),
  );
  if (data.length > 0) blocks.push(padded(data));
  return blocks;
}

function paxRecords(name: string, entry: TarEntry): Buffer[] {
  const records: Buffer[] = [];
  if (Buffer.byteLength(name) > 100 && entry.pax?.['path'] === undefined) records.push(paxRecord('path', Buffer.from(name)));
  const link = entry.link ?? '';
  if (Buffer.byteLength(link) > 100) records.push(paxRecord('linkpath', Buffer.from(link)));
  if (!Number.isInteger(entry.mtime)) records.push(paxRecord('mtime', Buffer.from(String(entry.mtime))));
  for (const [key, value] of Object.entries(entry.xattrs ?? {})) records.push(paxRecord(`SCHILY.xattr.${key}`, value));
  for (const [key, value] of Object.entries(entry.pax ?? {})) records.push(paxRecord(key, Buffer.from(value)));
  return records;
}

/** "LENGTH KEY=VALUE\n", where LENGTH counts itself. */
function paxRecord(key: string, value: Buffer): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`), value, Buffer.from('\n')]);
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

interface HeaderFields {
  readonly name: string;
  readonly flag: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: number;
  readonly size: number;
  readonly link?: string;
  readonly device?: { readonly major: number; readonly minor: number } | undefined;
}

function header(fields: HeaderFields): Buffer {
  const block = Buffer.alloc(BLOCK);
  block.write(fields.name.slice(0, 100), 0, 100, 'utf8');
  octal(block, 100, 8, fields.mode);
  octal(block, 108, 8, fields.uid);
  octal(block, 116, 8, fields.gid);
  octal(block, 124, 12, fields.size);
  octal(block, 136, 12, fields.mtime);
  block.fill(' ', 148, 156);
  block.write(fields.flag, 156, 1, 'ascii');
  block.write((fields.link ?? '').slice(0, 100), 157, 100, 'utf8');
  block.write('ustar\x0000', 257, 8, 'latin1');
  octal(block, 329, 8, fields.device?.major ?? 0);
  octal(block, 337, 8, fields.device?.minor ?? 0);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 8, 'latin1');
  return block;
}

function octal(block: Buffer, offset: number, width: number, value: number): void {
  block.write(`${value.toString(8).padStart(width - 1, '0')}\0`, offset, width, 'latin1');
}

function padded(data: Buffer): Buffer {
  const rest = data.length % BLOCK;
  return rest === 0 ? data : Buffer.concat([data, Buffer.alloc(BLOCK - rest)]);
}
