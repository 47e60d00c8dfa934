/** What an inode takes on the disk, as du counts it: stat(2) counts blocks of 512 bytes, whatever the file system's own are. */
export function diskBytes({ blocks }: { readonly blocks: number }): number {
  return blocks * 512;
}
