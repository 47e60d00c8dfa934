/** What a subcommand of `berth image` is, and what it gets. */
import type { BerthClient } from '../berth-client.ts';
import type { Output } from '../command.ts';

export interface Invocation {
  readonly client: BerthClient;
  readonly output: Output;
  readonly names: readonly string[];
  readonly flags: Readonly<Record<string, string | boolean | undefined>>;
}

export interface ImageCommand {
  /** Arguments as the help shows them. */
  readonly usage: string;
  readonly summary: string;
  /** How many names it takes. */
  readonly names: readonly [least: number, most: number];
  run(invocation: Invocation): Promise<number>;
}
