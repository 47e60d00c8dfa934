import { createHash } from 'node:crypto';

/**
 * A digest by which a retried request is known. Maps have no order on the wire, and a client may send
 * the same ones in another order every time, so the keys of objects are sorted first.
 */
export function fingerprint(request: unknown): string {
  return createHash('sha256').update(JSON.stringify(request, sorted)).digest('hex');
}

function sorted(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
