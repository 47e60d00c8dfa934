/** The CRI's filters: every given part must match; labels must all be there with the same value. */

export function matchesLabels(labels: Readonly<Record<string, string>>, selector: Readonly<Record<string, string>>): boolean {
  return Object.entries(selector).every(([key, value]) => labels[key] === value);
}

/** An id filter takes prefixes, as the peers do; an empty one matches everything. */
export function matchesId(id: string, filter: string): boolean {
  return id.startsWith(filter);
}
