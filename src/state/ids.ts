import { randomBytes } from 'node:crypto';
import { BerthError } from '../errors/catalogue.ts';
import type { ErrorCode } from '../errors/catalogue.ts';

/** 64 hexadecimal digits, as every CRI client expects of an id. */
export function newId(): string {
  return randomBytes(32).toString('hex');
}

export function isFullId(value: string): boolean {
  return /^[0-9a-f]{64}$/.test(value);
}

/** Objects by id, found by any unambiguous prefix. */
export class IdIndex<T> {
  readonly #objects = new Map<string, T>();

  get size(): number {
    return this.#objects.size;
  }

  set(id: string, object: T): void {
    this.#objects.set(id, object);
  }

  delete(id: string): void {
    this.#objects.delete(id);
  }

  values(): IterableIterator<T> {
    return this.#objects.values();
  }

  /** By full id or prefix; undefined when nothing matches. Throws AMBIGUOUS_ID when several do. */
  find(idOrPrefix: string): T | undefined {
    const exact = this.#objects.get(idOrPrefix);
    if (exact !== undefined || idOrPrefix.length >= 64 || idOrPrefix === '') return exact;
    let match: T | undefined;
    for (const [id, object] of this.#objects) {
      if (!id.startsWith(idOrPrefix)) continue;
      if (match !== undefined) throw new BerthError('AMBIGUOUS_ID', `id ${idOrPrefix} matches more than one object`);
      match = object;
    }
    return match;
  }

  /** Like `find`, but throws `code` when nothing matches. `what` names the kind for the message. */
  get(idOrPrefix: string, what: string, code: ErrorCode): T {
    const object = this.find(idOrPrefix);
    if (object === undefined) throw new BerthError(code, `${what} "${idOrPrefix}" not found`);
    return object;
  }
}
