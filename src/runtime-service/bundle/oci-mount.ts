import type { IdRange } from '../../shim/launcher.ts';

/** A mount of the OCI runtime spec. */
export interface OciMount {
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
  /** Of an id-mapped mount: the ids of its files, and those that the container's processes find there. */
  readonly uidMappings?: readonly IdRange[];
  readonly gidMappings?: readonly IdRange[];
}
