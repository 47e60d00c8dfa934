import type { IdIndex } from '../state/ids.ts';

/** The CRI's filters: every given part must match; labels must all be there with the same value. */

export function matchesLabels(labels: Readonly<Record<string, string>>, selector: Readonly<Record<string, string>>): boolean {
  return Object.entries(selector).every(([key, value]) => labels[key] === value);
}

/**
 * The full id that an id filter means: undefined when there is no filter, the filter itself when no
 * object has it. Throws AMBIGUOUS_ID, as every other place that takes a prefix.
 */
export function filteredId(index: IdIndex<{ readonly record: { readonly id: string } }>, filter: string): string | undefined {
  return filter === '' ? undefined : (index.find(filter)?.record.id ?? filter);
}
