/** One line for each layer of a pull or push, kept up to date in a terminal. */
import type { LayerProgress__Output } from '../../cri-server/generated/berth/v1/LayerProgress.ts';
import { formatBytes, shortDigest } from './size.ts';

const barWidth = 30;

/** One layer as it is shown. */
export interface ProgressLine {
  /** The same for the same layer. */
  readonly key: string;
  readonly text: string;
  readonly over: boolean;
}

const words = { LAYER_WAITING: 'waiting', LAYER_DOWNLOADING: '', LAYER_DONE: 'done', LAYER_PRESENT: 'already here' } as const;

export function pullLine({ digest, size, received, state }: LayerProgress__Output): ProgressLine {
  const share = state === 'LAYER_DOWNLOADING' ? Number(received) / Math.max(1, Number(size)) : state === 'LAYER_WAITING' ? 0 : 1;
  const text = words[state as keyof typeof words];
  const right = text === '' ? `${formatBytes(received)} of ${formatBytes(size)}` : `${formatBytes(size)} ${text}`;
  return { key: digest, text: progressLine(digest, share, right), over: state === 'LAYER_DONE' || state === 'LAYER_PRESENT' };
}

/** `share` is 1 for all. */
export function progressLine(digest: string, share: number, right: string): string {
  const filled = Math.round(Math.min(1, share) * barWidth);
  return `${shortDigest(digest)}  [${'='.repeat(filled)}${' '.repeat(barWidth - filled)}]  ${right}`;
}

/** Draws over what it drew before, where the output is a terminal; elsewhere tells each layer once, when it is over. */
export class ProgressView {
  readonly #terminal: boolean;
  readonly #write: (text: string) => void;
  readonly #told = new Set<string>();
  #drawn = 0;

  constructor(terminal: boolean, write: (text: string) => void) {
    this.#terminal = terminal;
    this.#write = write;
  }

  show(lines: readonly ProgressLine[]): void {
    if (this.#terminal) this.#draw(lines);
    else this.#tell(lines);
  }

  #draw(lines: readonly ProgressLine[]): void {
    // Up to the first line (CUU), then each line anew (EL).
    const up = this.#drawn === 0 ? '' : `\u001B[${this.#drawn}A`;
    this.#write(`${up}${lines.map(({ text }) => `\u001B[2K${text}\n`).join('')}`);
    this.#drawn = lines.length;
  }

  #tell(lines: readonly ProgressLine[]): void {
    for (const { key, text, over } of lines) {
      if (!over || this.#told.has(key)) continue;
      this.#told.add(key);
      this.#write(`${text}\n`);
    }
  }
}
