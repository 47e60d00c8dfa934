/** Images.Push: a push that can be watched. */

import type { PushProgress } from '../../cri-server/generated/berth/v1/PushProgress.ts';
import type { PushRequest__Output } from '../../cri-server/generated/berth/v1/PushRequest.ts';
import { BerthError, invalidField } from '../../errors/catalogue.ts';
import type { CallContext } from '../../telemetry/call-context.ts';
import { defaultLevel } from '../push/compress.ts';
import type { ImagePusher, PushWatch } from '../push/image-push.ts';
import type { PushedLayerWatch } from '../push/layer-push.ts';
import { formatReference, parseReference } from '../reference.ts';
import type { ImageReference } from '../reference.ts';
import type { ImageStore } from '../store/image-store.ts';
import { requireImage } from './inspect.ts';
import { authOf, pictures } from './watched.ts';

const states = {
  waiting: 'PUSH_WAITING',
  compressing: 'PUSH_COMPRESSING',
  uploading: 'PUSH_UPLOADING',
  done: 'PUSH_DONE',
  present: 'PUSH_PRESENT',
  mounted: 'PUSH_MOUNTED',
  'left-out': 'PUSH_LEFT_OUT',
} as const;

export async function* watchedPush(
  store: ImageStore,
  pusher: ImagePusher,
  request: PushRequest__Output,
  { signal, log }: CallContext,
): AsyncGenerator<PushProgress, void, undefined> {
  const image = requireImage(store, request.reference);
  const destination = destinationOf(request);
  const name = formatReference(destination);
  const stopped = new AbortController();
  let watch: PushWatch = { layers: [] };
  const push = pusher.push({ image, destination, auth: authOf(request), level: levelOf(request) }, AbortSignal.any([signal, stopped.signal]), (watched) => {
    watch = watched;
  });
  try {
    yield* pictures(push, () => ({ name, layers: watch.layers.map(describe) }), signal);
    const digest = await push;
    log.info({ image: name, id: image.id, digest, layers: image.layers.length }, 'image pushed');
    yield { name, digest, layers: watch.layers.map(describe) };
  } finally {
    // Nobody waits for it any more; what remains of it must be over before the call is.
    stopped.abort(new DOMException('the push was cancelled', 'AbortError'));
    await Promise.allSettled([push]);
  }
}

function destinationOf({ reference, destination }: PushRequest__Output): ImageReference {
  const field = destination === '' ? 'reference' : 'destination';
  const parsed = parseDestination(destination === '' ? reference : destination, destination === '');
  if (parsed.digest !== undefined) throw invalidField(field, 'holds a digest, which follows from what is pushed; give a destination with a tag');
  return parsed;
}

function parseDestination(text: string, isReference: boolean): ImageReference {
  try {
    return parseReference(text);
  } catch (failure) {
    if (!isReference || !(failure instanceof BerthError)) throw failure;
    throw invalidField('destination', `is empty, and "${text}" is no name to push to; give one`);
  }
}

function levelOf({ level }: PushRequest__Output): number {
  if (level > 9) throw invalidField('level', `is ${level}; give 1 (fast) to 9 (small)`);
  return level === 0 ? defaultLevel : level;
}

function describe({ diffId, digest, size, done, state }: PushedLayerWatch): NonNullable<PushProgress['layers']>[number] {
  return { diff_id: diffId, digest, size: String(size), done: String(done), state: states[state] };
}
