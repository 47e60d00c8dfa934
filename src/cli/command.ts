/** What a subcommand of `berth` is. */

export interface Output {
  /** Standard output. */
  write(text: string): void;
  /** Standard error. */
  complain(text: string): void;
}

export interface Command {
  readonly name: string;
  /** One line for `berth --help`. */
  readonly summary: string;
  /** For `berth NAME --help`. */
  readonly help: string;
  /** Returns the exit status. A BerthError is printed by the caller. */
  run(args: readonly string[], output: Output): Promise<number>;
}
