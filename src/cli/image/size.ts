/** Byte counts as people read them. */

const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** `bytes` as a number, or as the decimal string that CRI's 64-bit integers come as. */
export function formatBytes(bytes: number | string): string {
  let value = Number(bytes);
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** `sha256:` and the beginning of the digits. */
export function shortDigest(digest: string): string {
  return digest.replace(/^sha256:/, '').slice(0, 12);
}
