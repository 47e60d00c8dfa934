import { DbusError } from './dbus-error.ts';

/** One complete type of a signature (D-Bus Specification, "Type System"). A dictionary is an array of structs of two. */
export type DbusType =
  | { readonly kind: 'basic'; readonly code: BasicCode }
  | { readonly kind: 'variant' }
  | { readonly kind: 'array'; readonly element: DbusType }
  | { readonly kind: 'struct'; readonly fields: readonly DbusType[] };

export type BasicCode = 'y' | 'b' | 'n' | 'q' | 'i' | 'u' | 'x' | 't' | 'd' | 's' | 'o' | 'g' | 'h';

const basicAlignments: Readonly<Record<BasicCode, number>> = {
  y: 1, g: 1, n: 2, q: 2, b: 4, i: 4, u: 4, s: 4, o: 4, h: 4, x: 8, t: 8, d: 8,
};
const alignments = { variant: 1, array: 4, struct: 8 } as const;

/** Where values of a type begin: at multiples of this, counted from the start of the message. */
export function alignmentOf(type: DbusType): number {
  return type.kind === 'basic' ? basicAlignments[type.code] : alignments[type.kind];
}

/** "The maximum depth of container type nesting is 32 array type codes and 32 open parentheses." */
const deepest = 64;

/** The types of a signature such as `ssa(sv)`. Throws DbusError for what is none. */
export function parseSignature(signature: string): readonly DbusType[] {
  const types: DbusType[] = [];
  let at = 0;
  const next = (depth: number): DbusType => {
    const code = signature[at] ?? '';
    at += 1;
    if (depth > deepest) throw new DbusError(`signature "${signature}" is nested too deeply`);
    if (code === 'v') return { kind: 'variant' };
    if (code === 'a') return { kind: 'array', element: next(depth + 1) };
    if (code === '(' || code === '{') return { kind: 'struct', fields: fieldsUntil(code === '(' ? ')' : '}', depth) };
    if (isBasic(code)) return { kind: 'basic', code };
    throw new DbusError(`signature "${signature}" has no type at ${at - 1}`);
  };
  const fieldsUntil = (end: string, depth: number): DbusType[] => {
    const fields: DbusType[] = [];
    while (signature[at] !== end) fields.push(next(depth + 1));
    at += 1;
    if (fields.length === 0 || (end === '}' && fields.length !== 2)) throw new DbusError(`signature "${signature}" has an empty or uneven container`);
    return fields;
  };
  while (at < signature.length) types.push(next(0));
  return types;
}

function isBasic(code: string): code is BasicCode {
  return Object.hasOwn(basicAlignments, code);
}
