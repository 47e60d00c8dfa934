/** One line for each layer of a pull, kept up to date in a terminal. */
import type { LayerProgress__Output } from '../../cri-server/generated/berth/v1/LayerProgress.ts';
import { formatBytes, shortDigest } from './size.ts';

const barWidth = 30;

const words = { LAYER_WAITING: 'waiting', LAYER_DOWNLOADING: '', LAYER_DONE: 'done', LAYER_PRESENT: 'already here' } as const;

export function layerLine({ digest, size, received, state }: LayerProgress__Output): string {
  const share = state === 'LAYER_DOWNLOADING' ? Math.min(1, Number(received) / Math.max(1, Number(size))) : state === 'LAYER_WAITING' ? 0 : 1;
  const filled = Math.round(share * barWidth);
  const bar = `${'='.repeat(filled)}${' '.repeat(barWidth - filled)}`;
  const text = words[state as keyof typeof words];
  const right = text === '' ? `${formatBytes(received)} of ${formatBytes(size)}` : `${formatBytes(size)} ${text}`;
  return `${shortDigest(digest)}  [${bar}]  ${right}`;
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

  show(layers: readonly LayerProgress__Output[]): void {
    if (this.#terminal) this.#draw(layers);
    else this.#tell(layers);
  }

  #draw(layers: readonly LayerProgress__Output[]): void {
    // Up to the first line (CUU), then each line anew (EL).
    const up = this.#drawn === 0 ? '' : `\u001B[${this.#drawn}A`;
    this.#write(`${up}${layers.map((layer) => `\u001B[2K${layerLine(layer)}\n`).join('')}`);
    this.#drawn = layers.length;
  }

  #tell(layers: readonly LayerProgress__Output[]): void {
    for (const layer of layers) {
      const over = layer.state === 'LAYER_DONE' || layer.state === 'LAYER_PRESENT';
      if (!over || this.#told.has(layer.digest)) continue;
      this.#told.add(layer.digest);
      this.#write(`${layerLine(layer)}\n`);
    }
  }
}
