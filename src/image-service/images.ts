/**
 * What the runtime service needs of images. The image service implements it, `main.ts` wires it;
 * neither service imports the other.
 */

/** The parts of an OCI image config that describe how to run it (image-spec, config.md). */
export interface ImageRunConfig {
  readonly user: string;
  readonly env: readonly string[];
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
  readonly workingDir: string;
  /** Paths that the image declares as volumes. */
  readonly volumes: readonly string[];
  /** As written in the image, e.g. "SIGQUIT" or "3"; empty when not set. */
  readonly stopSignal: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface ResolvedImage {
  /** `sha256:` and the digest of the image config. Stable, and the same in every API. */
  readonly id: string;
  readonly repoTags: readonly string[];
  readonly repoDigests: readonly string[];
  readonly config: ImageRunConfig;
  /** Absolute paths of the unpacked layers in overlay form, topmost first. */
  readonly layers: readonly string[];
}

export interface ImageProvider {
  /**
   * Finds a stored image by any form of reference: id, id prefix, tag, digest, short name.
   * Answers from memory. Undefined when no image matches.
   */
  resolve(reference: string): ResolvedImage | undefined;
  /**
   * Keeps the image, and in any case these layers (as `ResolvedImage.layers` gave them), from being deleted
   * while `holder` (a container id) uses them. Also of an image that did not load after a restart.
   */
  retain(imageId: string, holder: string, layers: readonly string[]): void;
  release(imageId: string, holder: string): void;
}
