/** Images.Pull: a pull that can be watched. */

import { setTimeout as sleep } from 'node:timers/promises';
import type { PullProgress } from '../../cri-server/generated/berth/v1/PullProgress.ts';
import type { PullRequest__Output } from '../../cri-server/generated/berth/v1/PullRequest.ts';
import { invalidField } from '../../errors/catalogue.ts';
import type { CallContext } from '../../telemetry/call-context.ts';
import type { ImagePuller, PullWatch } from '../image-pull.ts';
import type { LayerWatch } from '../layer-pull.ts';
import { formatReference, parseReference } from '../reference.ts';

/** Ten pictures a second are as many as a person sees. */
const interval = 100;

const states = { waiting: 'LAYER_WAITING', downloading: 'LAYER_DOWNLOADING', done: 'LAYER_DONE', present: 'LAYER_PRESENT' } as const;

export async function* watchedPull(puller: ImagePuller, request: PullRequest__Output, { signal, log }: CallContext): AsyncGenerator<PullProgress, void, undefined> {
  const { username, password } = request;
  if ((username === '') !== (password === '')) throw invalidField(username === '' ? 'username' : 'password', 'is empty; give both or none');
  const reference = parseReference(request.reference);
  const auth = username === '' ? undefined : { credentials: { kind: 'basic', username, password }, serverHost: '' } as const;
  let watch: PullWatch = { layers: [] };
  const pull = puller.pull(reference, auth, signal, (watched) => {
    watch = watched;
  });
  const over = pull.then(
    () => true,
    () => true,
  );
  for (let last = ''; !(await Promise.race([over, sleep(interval, false, { signal })])); ) {
    const progress = { layers: watch.layers.map(describe) };
    const text = JSON.stringify(progress);
    if (text !== last) yield progress;
    last = text;
  }
  const image = await pull;
  log.info({ image: formatReference(reference), id: image.id, layers: image.layers.length }, 'image pulled');
  yield { image_id: image.id, layers: watch.layers.map(describe) };
}

function describe({ digest, size, received, state }: LayerWatch): NonNullable<PullProgress['layers']>[number] {
  return { digest, size: String(size), received: String(received), state: states[state] };
}
