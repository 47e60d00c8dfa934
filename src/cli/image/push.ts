/** `berth image push`. */
import type { PushedLayer__Output } from '../../cri-server/generated/berth/v1/PushedLayer.ts';
import type { PushProgress__Output } from '../../cri-server/generated/berth/v1/PushProgress.ts';
import type { Invocation } from './invocation.ts';
import { loginOf } from './login.ts';
import { progressLine, ProgressView } from './progress.ts';
import type { ProgressLine } from './progress.ts';
import { formatBytes } from './size.ts';

export async function push({ client, output, names: [reference = '', destination = ''], flags }: Invocation): Promise<number> {
  const level = flags['level'] ?? '0';
  if (typeof level !== 'string' || !/^[0-9]$/.test(level)) {
    output.complain('berth image push: --level is not one of 1 (fast) to 9 (small)\n');
    return 2;
  }
  const view = new ProgressView(process.stderr.isTTY, (text) => output.complain(text));
  let pushed = '';
  for await (const message of client.stream('Images', 'Push', { reference, destination, ...loginOf(flags), level: Number(level) })) {
    const { name, digest, layers } = message as PushProgress__Output;
    view.show(layers.map(pushLine));
    pushed = `${name.slice(0, name.lastIndexOf(':'))}@${digest}`;
  }
  output.write(`${pushed}\n`);
  return 0;
}

const ends: Readonly<Record<string, string>> = { PUSH_DONE: 'done', PUSH_PRESENT: 'already there', PUSH_MOUNTED: 'mounted', PUSH_LEFT_OUT: 'left out' };
const doings: Readonly<Record<string, string>> = { PUSH_COMPRESSING: 'compressed', PUSH_UPLOADING: 'sent' };

/** A layer is known by its diff ID as long as it has no other digest. */
export function pushLine({ diff_id, digest, size, done, state }: PushedLayer__Output): ProgressLine {
  const end = ends[state];
  const doing = doings[state];
  const share = end !== undefined ? 1 : doing === undefined ? 0 : Number(done) / Math.max(1, Number(size));
  const text = end !== undefined ? `${formatBytes(size)} ${end}` : doing === undefined ? 'waiting' : `${formatBytes(done)} of ${formatBytes(size)} ${doing}`;
  return { key: diff_id, text: progressLine(digest === '' ? diff_id : digest, share, text), over: end !== undefined };
}
