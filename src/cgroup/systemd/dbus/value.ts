/**
 * Values as this client knows them: integers of up to 32 bits are numbers, those of 64 bits are bigint, bytes
 * in an array (`ay`) are a Buffer, structs and arrays are arrays, a dictionary is an array of pairs.
 */
export type DbusValue = number | bigint | boolean | string | Buffer | Variant | readonly DbusValue[];

/** A value that says its own type. */
export interface Variant {
  readonly signature: string;
  readonly value: DbusValue;
}

export function variant(signature: string, value: DbusValue): Variant {
  return { signature, value };
}
