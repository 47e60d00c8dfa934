/** Requests and contexts for handler tests. */

import { pino } from 'pino';
import type { ImageSpec__Output } from '../../cri-server/generated/runtime/v1/ImageSpec.ts';
import type { CallContext } from '../../telemetry/call-context.ts';

export function callContext(signal: AbortSignal = new AbortController().signal): CallContext {
  return { signal, log: pino({ level: 'silent' }), requestId: 'test' };
}

export function imageSpec(image: string, userSpecified = ''): ImageSpec__Output {
  return { image, annotations: {}, user_specified_image: userSpecified, runtime_handler: '', image_ref: '' };
}
