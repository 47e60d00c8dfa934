/** Brings one layer to a registry: by its name where the registry has it, compressed anew where not. */

import { createReadStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { BerthError } from '../../errors/catalogue.ts';
import { hasTar } from '../archive/layer-tar.ts';
import type { TarParts } from '../archive/layer-tar.ts';
import { digestHex } from '../digest.ts';
import type { ImageReference } from '../reference.ts';
import { isNonDistributable } from '../registry/descriptor.ts';
import type { Descriptor } from '../registry/descriptor.ts';
import type { PushClient, UploadSession } from '../registry/push-client.ts';
import type { RemoteLayer } from '../registry/resolve.ts';
import { withRetries } from '../registry/retry.ts';
import type { RetryPolicy } from '../registry/retry.ts';
import { Upload } from '../registry/upload.ts';
import { compressLayer } from './compress.ts';
import type { KnownBlobs } from './known-blobs.ts';

/** How far a layer is, for whoever watches the push. */
export interface PushedLayerWatch {
  readonly diffId: string;
  /** Of what is in the registry; empty until it is known. */
  digest: string;
  /** Bytes of the tar while it is compressed, then of the blob. */
  size: number;
  done: number;
  state: 'waiting' | 'compressing' | 'uploading' | 'done' | 'present' | 'mounted' | 'left-out';
}

export interface LayerPushParts extends TarParts {
  readonly client: PushClient;
  readonly destination: ImageReference;
  readonly known: KnownBlobs;
  readonly retry: RetryPolicy;
  /** Of gzip, 1 to 9. */
  readonly level: number;
  /** For files that the push is done with when it ends. */
  readonly directory: string;
}

export interface LayerPush {
  readonly layer: RemoteLayer;
  /** Names destination and layer in errors. */
  readonly what: string;
  readonly watch: PushedLayerWatch;
}

/** Gives the descriptor for the manifest. */
export async function pushLayer(parts: LayerPushParts, push: LayerPush, signal: AbortSignal): Promise<Descriptor> {
  const { layer, watch, what } = push;
  const { descriptor } = layer;
  const isForeign = isNonDistributable(descriptor.mediaType);
  if (isForeign && (descriptor.urls ?? []).length > 0) return settled(watch, 'left-out', descriptor);
  const candidates = isForeign ? [descriptor] : parts.known.candidates(layer, parts.level);
  const present = await findPresent(parts, candidates, what, signal);
  if (present !== undefined) return settled(watch, 'present', present);
  if (isForeign) throw new BerthError('NOT_EXPORTABLE', `${what}: its media type ${descriptor.mediaType} says that only its owner may hand it out, and it has no URL to get it from`);
  const { mounted, session } = await mount(parts, candidates, what, signal);
  if (mounted !== undefined) return settled(watch, 'mounted', mounted);
  return upload(parts, push, session, signal);
}

function settled(watch: PushedLayerWatch, state: PushedLayerWatch['state'], descriptor: Descriptor): Descriptor {
  const { digest, size } = descriptor;
  Object.assign(watch, { state, digest, size, done: size });
  return descriptor;
}

async function findPresent({ client, retry }: LayerPushParts, candidates: readonly Descriptor[], what: string, signal: AbortSignal): Promise<Descriptor | undefined> {
  for (const candidate of candidates) {
    if (await withRetries(retry, false, signal, () => client.hasBlob(candidate, { what, signal }))) return candidate;
  }
  return undefined;
}

interface Mounted {
  readonly mounted?: Descriptor;
  /** A registry that does not mount offers an upload instead. */
  readonly session?: UploadSession | undefined;
}

/** Whatever is wrong with a mount, an upload is tried next: that tells whether it is wrong with the push. */
async function mount({ client, known, destination }: LayerPushParts, candidates: readonly Descriptor[], what: string, signal: AbortSignal): Promise<Mounted> {
  let session: UploadSession | undefined;
  for (const candidate of candidates) {
    for (const from of known.repositories(candidate.digest, destination)) {
      try {
        session = await client.mount(candidate.digest, from, { what, signal });
        if (session === undefined) return { mounted: candidate };
      } catch (failure) {
        signal.throwIfAborted();
        if (!(failure instanceof BerthError)) throw failure;
      }
    }
  }
  return { session };
}

async function upload(parts: LayerPushParts, { layer: { diffId }, what, watch }: LayerPush, session: UploadSession | undefined, signal: AbortSignal): Promise<Descriptor> {
  const { store, client, retry, level, known, destination } = parts;
  if (!hasTar(store, diffId)) throw new BerthError('NOT_EXPORTABLE', `${what}: its tar is of a kind that cannot be made again`);
  const file = join(parts.directory, digestHex(diffId));
  Object.assign(watch, { state: 'compressing', done: 0, size: store.layers.record(diffId)?.tarBytes ?? 0 });
  const progress = (bytes: number): void => void (watch.done = bytes);
  try {
    const made = await compressLayer(parts, { diffId, level, file }, progress, signal);
    const present = await findPresent(parts, [made], what, signal);
    if (present === undefined) {
      Object.assign(watch, { state: 'uploading', digest: made.digest, done: 0, size: made.size });
      const read = (from: number, to: number): AsyncIterable<Buffer> => createReadStream(file, { start: from, end: to - 1 }) as AsyncIterable<Buffer>;
      await new Upload(client, { ...made, read }, session, { retry, what, progress }).run(signal);
    }
    known.remember(diffId, level, made, destination);
    return settled(watch, present === undefined ? 'done' : 'present', made);
  } finally {
    await rm(file, { force: true });
  }
}
