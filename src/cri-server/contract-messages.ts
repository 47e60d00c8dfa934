/** The contract's messages and enums, from the generated contract.json, so that nothing is parsed at start. */
import contract from './generated/contract.json' with { type: 'json' };

export interface FieldDescriptor {
  readonly id: number;
  /** A scalar's name, or the name of a message or enum in scope. */
  readonly type: string;
  readonly rule?: string;
  /** Set for a map; `type` is that of its values. */
  readonly keyType?: string;
}

export interface MessageDescriptor {
  readonly fields: Readonly<Record<string, FieldDescriptor>>;
}

interface MethodDescriptor {
  readonly requestType: string;
  readonly responseType: string;
}

interface EnumDescriptor {
  readonly values: Readonly<Record<string, number>>;
}

interface Entry extends Partial<MessageDescriptor>, Partial<EnumDescriptor> {
  readonly methods?: Readonly<Record<string, MethodDescriptor>>;
  readonly nested?: Readonly<Record<string, EnumDescriptor>>;
}

/** As proto-loader takes it. */
export const contractJson: object = contract;

interface Package {
  readonly nested: { readonly v1: { readonly nested: Readonly<Record<string, Entry>> } };
}

const packages = (contract as unknown as { nested: { runtime: Package; berth: Package } }).nested;

/** CRI's names and Berth's own; no name is in both, which a test sees to. */
export const contractScope: Readonly<Record<string, Entry>> = { ...packages.runtime.nested.v1.nested, ...packages.berth.nested.v1.nested };

/** Undefined for an enum, which has no fields. */
export function messageDescriptor(type: string): MessageDescriptor | undefined {
  const found = contractScope[type];
  return found?.fields === undefined ? undefined : { fields: found.fields };
}

/** The numbers of an enum by name, as a field of the message `scope` means it; undefined when it is none. */
export function enumNumbers(scope: string, type: string): Readonly<Record<string, number>> | undefined {
  return contractScope[scope]?.nested?.[type]?.values ?? contractScope[type]?.values;
}
