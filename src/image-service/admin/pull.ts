/** Images.Pull: a pull that can be watched. */

import type { PullProgress } from '../../cri-server/generated/berth/v1/PullProgress.ts';
import type { PullRequest__Output } from '../../cri-server/generated/berth/v1/PullRequest.ts';
import type { CallContext } from '../../telemetry/call-context.ts';
import type { ImagePuller, PullWatch } from '../image-pull.ts';
import type { LayerWatch } from '../layer-pull.ts';
import { formatReference, parseReference } from '../reference.ts';
import { authOf, pictures } from './watched.ts';

const states = { waiting: 'LAYER_WAITING', downloading: 'LAYER_DOWNLOADING', done: 'LAYER_DONE', present: 'LAYER_PRESENT' } as const;

export async function* watchedPull(puller: ImagePuller, request: PullRequest__Output, { signal, log }: CallContext): AsyncGenerator<PullProgress, void, undefined> {
  const auth = authOf(request);
  const reference = parseReference(request.reference);
  let watch: PullWatch = { layers: [] };
  const pull = puller.pull(reference, auth, signal, (watched) => {
    watch = watched;
  });
  yield* pictures(pull, () => ({ layers: watch.layers.map(describe) }), signal);
  const image = await pull;
  log.info({ image: formatReference(reference), id: image.id, layers: image.layers.length }, 'image pulled');
  yield { image_id: image.id, layers: watch.layers.map(describe) };
}

function describe({ digest, size, received, state }: LayerWatch): NonNullable<PullProgress['layers']>[number] {
  return { digest, size: String(size), received: String(received), state: states[state] };
}
