/** Content digests as the OCI image spec writes them (descriptor.md): `sha256:` and 64 lower-case hex digits. */

import { createHash } from 'node:crypto';

const sha256Pattern = /^sha256:[0-9a-f]{64}$/;

/** sha256 is the one algorithm that every registry has to offer, and the one that layers are unpacked under. */
export function isDigest(text: string): boolean {
  return sha256Pattern.test(text);
}

/** The 64 hex digits; also the name of the file or directory that holds the content. */
export function digestHex(digest: string): string {
  return digest.slice('sha256:'.length);
}

export function digestOf(content: Uint8Array): string {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`;
}
