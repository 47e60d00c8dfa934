/** What an archive offers, before any of it is in the store. */

import type { ImageConfig } from '../image-config.ts';
import type { Descriptor } from '../registry/descriptor.ts';
import type { StoredDocument } from '../registry/resolve.ts';
import type { SpooledFile } from './spool.ts';

export interface ArchiveImage {
  readonly config: StoredDocument;
  readonly imageConfig: ImageConfig;
  /** Full references. */
  readonly names: readonly string[];
  /** As many as the config's diff IDs, bottom first. Undefined: the archive leaves the layer out. */
  readonly layers: readonly (SpooledFile | undefined)[];
  /** Undefined for Docker's own format, which has no manifest as registries know it. */
  readonly manifest: ArchiveManifest | undefined;
}

export interface ArchiveManifest {
  /** What the archive's index names: the manifest, or an index that leads to it. */
  readonly target: Descriptor;
  readonly document: StoredDocument;
  /** Indexes on the way, outermost first. */
  readonly indexes: readonly StoredDocument[];
  readonly layers: readonly Descriptor[];
  readonly annotations: Readonly<Record<string, string>>;
}
