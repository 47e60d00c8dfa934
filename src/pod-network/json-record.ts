/** A JSON object whose keys are not known beforehand. */
export type JsonRecord = Readonly<Record<string, unknown>>;

/** The value when it is a JSON object (not null, not a list). */
export function asRecord(value: unknown): JsonRecord | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonRecord) : undefined;
}
