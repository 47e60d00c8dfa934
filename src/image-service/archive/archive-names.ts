/** Which names an archive's images get. */

import { invalidField } from '../../errors/catalogue.ts';
import { formatReference, parseReference, repositoryName } from '../reference.ts';

/** Set by containerd and Docker; the image spec's own annotation is often the bare tag. */
const imageName = 'io.containerd.image.name';
const refName = 'org.opencontainers.image.ref.name';

/**
 * The full reference that an entry of index.json is known by, or undefined. A bare tag needs `repository`
 * (`host/path`), which the caller may give.
 */
export function nameOfEntry(annotations: Readonly<Record<string, unknown>>, repository: string | undefined): string | undefined {
  const full = annotations[imageName];
  if (typeof full === 'string' && full !== '') return formatReference(parseReference(full));
  const reference = annotations[refName];
  if (typeof reference !== 'string' || reference === '') return undefined;
  if (/[/:]/.test(reference)) return formatReference(parseReference(reference));
  return repository === undefined ? undefined : formatReference(parseReference(`${repository}:${reference}`));
}

/** The name for images that have none in the archive, from the request. */
export function parseGivenName(text: string): { readonly name: string | undefined; readonly repository: string | undefined } {
  if (text === '') return { name: undefined, repository: undefined };
  const reference = parseReference(text);
  if (reference.digest !== undefined) throw invalidField('name', 'holds a digest; an imported image has the one it has');
  return { name: formatReference(reference), repository: repositoryName(reference) };
}
