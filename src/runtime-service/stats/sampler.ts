export interface SamplerOptions {
  readonly sample: () => void;
  /** Between two samples, in ms. */
  readonly every: number;
  /** How long sampling goes on after the last question, in ms. */
  readonly patience: number;
}

/** Samples at an interval, but only while somebody asks. */
export class Sampler {
  readonly #options: SamplerOptions;
  #timer: NodeJS.Timeout | undefined;
  #askedAt = 0;

  constructor(options: SamplerOptions) {
    this.#options = options;
  }

  asked(): void {
    this.#askedAt = performance.now();
    this.#timer ??= setInterval(() => this.#tick(), this.#options.every).unref();
  }

  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #tick(): void {
    if (performance.now() - this.#askedAt > this.#options.patience) this.close();
    else this.#options.sample();
  }
}
