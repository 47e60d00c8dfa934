/** Strict reading of a CDI spec: an unknown key or a value of the wrong kind is an error that says where. */

/** What is wrong with a spec; `where` is the dotted path of the value, empty for the whole. */
export class SpecProblem extends Error {
  constructor(where: string, problem: string) {
    super(where === '' ? problem : `${where}: ${problem}`);
    this.name = 'SpecProblem';
  }
}

/** One object of a spec. Every key has to be asked for before `end`, which refuses the rest. */
export class Fields {
  readonly where: string;
  readonly #values: ReadonlyMap<string, unknown>;
  readonly #asked = new Set<string>();

  constructor(value: unknown, where: string) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new SpecProblem(where, 'is not an object');
    this.where = where;
    // An absent value may be written as null.
    this.#values = new Map(Object.entries(value).filter(([, item]) => item !== null));
  }

  at(key: string): string {
    return this.where === '' ? key : `${this.where}.${key}`;
  }

  has(key: string): boolean {
    this.#asked.add(key);
    return this.#values.has(key);
  }

  /** Empty where absent. */
  text(key: string): string {
    return this.#text(this.#take(key) ?? '', this.at(key));
  }

  /** A text that YAML may have read as a number, such as the device name 0. */
  word(key: string): string {
    const value = this.#take(key) ?? '';
    return typeof value === 'number' && Number.isSafeInteger(value) ? String(value) : this.#text(value, this.at(key));
  }

  absolutePath(key: string): string {
    const path = this.text(key);
    if (!path.startsWith('/')) throw new SpecProblem(this.at(key), `"${path}" is not an absolute path`);
    if (Buffer.byteLength(path) > 4095) throw new SpecProblem(this.at(key), 'is longer than 4095 bytes');
    return path;
  }

  texts(key: string): string[] {
    return this.#list(key).map((item, index) => this.#text(item, `${this.at(key)}[${index}]`));
  }

  /** Undefined where absent. */
  integer(key: string, min: number, max: number): number | undefined {
    const value = this.#take(key);
    return value === undefined ? undefined : inRange(value, min, max, this.at(key));
  }

  integers(key: string, min: number, max: number): number[] {
    return this.#list(key).map((item, index) => inRange(item, min, max, `${this.at(key)}[${index}]`));
  }

  objects(key: string): Fields[] {
    return this.#list(key).map((item, index) => new Fields(item, `${this.at(key)}[${index}]`));
  }

  object(key: string): Fields | undefined {
    const value = this.#take(key);
    return value === undefined ? undefined : new Fields(value, this.at(key));
  }

  /** A map of texts whose keys are free. Returns how many there are. */
  textMap(key: string): number {
    const map = this.object(key);
    if (map === undefined) return 0;
    for (const name of map.#values.keys()) map.text(name);
    return map.#values.size;
  }

  /** Refuses what nobody asked for: a spec that says more than is understood must not be half applied. */
  end(): void {
    const unknown = [...this.#values.keys()].find((key) => !this.#asked.has(key));
    if (unknown !== undefined) throw new SpecProblem(this.at(unknown), 'there is no such field');
  }

  #take(key: string): unknown {
    this.#asked.add(key);
    return this.#values.get(key);
  }

  #text(value: unknown, where: string): string {
    if (typeof value !== 'string') throw new SpecProblem(where, 'is not a text');
    if (value.includes('\0')) throw new SpecProblem(where, 'holds a NUL character');
    return value;
  }

  #list(key: string): unknown[] {
    const value = this.#take(key) ?? [];
    if (!Array.isArray(value)) throw new SpecProblem(this.at(key), 'is not a list');
    return value;
  }
}

function inRange(value: unknown, min: number, max: number, where: string): number {
  const fits = Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max;
  if (!fits) throw new SpecProblem(where, `${JSON.stringify(value)} is not an integer from ${min} to ${max}`);
  return value as number;
}
