import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FairSlots } from './fair-slots.ts';

const never = new AbortController().signal;

/** Owners in the order in which they got places; `release` gives back the oldest place of an owner. */
class Bench {
  readonly slots: FairSlots;
  readonly granted: string[] = [];
  readonly #held = new Map<string, (() => void)[]>();

  constructor(total: number, perOwner: number) {
    this.slots = new FairSlots({ total, perOwner });
  }

  want(owner: string, times = 1, signal: AbortSignal = never): void {
    for (let n = 0; n < times; n += 1) void this.#place(owner, signal);
  }

  async #place(owner: string, signal: AbortSignal): Promise<void> {
    const release = await this.slots.acquire(owner, signal);
    this.granted.push(owner);
    this.#held.set(owner, [...this.held(owner), release]);
  }

  held(owner: string): readonly (() => void)[] {
    return this.#held.get(owner) ?? [];
  }

  get running(): number {
    return [...this.#held.values()].reduce((sum, held) => sum + held.length, 0);
  }

  async release(owner: string): Promise<void> {
    const [first, ...rest] = this.held(owner);
    this.#held.set(owner, rest);
    first?.();
    await settled();
  }
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('places', () => {
  test('one owner gets as many as are its share, in the order of its wishes, and no more', async () => {
    const bench = new Bench(6, 4);
    bench.want('huge', 60);
    await settled();
    expect(bench.held('huge')).toHaveLength(4);
    await bench.release('huge');
    expect(bench.held('huge')).toHaveLength(4);
  });

  test('the last one is kept for who has none, however much another wants', async () => {
    const bench = new Bench(3, 3);
    bench.want('huge', 60);
    await settled();
    expect(bench.held('huge')).toHaveLength(2);
    bench.want('small');
    await settled();
    expect(bench.held('small')).toHaveLength(1);
  });

  test('who comes late is next, before those who hold some', async () => {
    const bench = new Bench(2, 2);
    bench.want('huge', 60);
    bench.want('big', 60);
    await settled();
    bench.want('small', 2);
    await settled();
    expect(bench.granted).toEqual(['huge', 'big']);
    await bench.release('huge');
    expect(bench.granted).toEqual(['huge', 'big', 'small']);
  });

  test('who holds fewer comes before who was served longer ago', async () => {
    const bench = new Bench(5, 3);
    for (const owner of ['huge', 'big', 'small']) {
      bench.want(owner, owner === 'small' ? 1 : 60);
      await settled();
    }
    expect(bench.granted).toEqual(['huge', 'huge', 'huge', 'big', 'small']);
    await bench.release('small');
    await bench.release('huge');
    expect(bench.granted.slice(5)).toEqual(['big']);
  });

  test('equals take turns', async () => {
    const bench = new Bench(1, 1);
    for (const owner of ['a', 'b', 'c']) bench.want(owner, 3);
    await settled();
    for (let turn = 0; turn < 8; turn += 1) await bench.release(bench.granted.at(-1) ?? '');
    expect(bench.granted.join('')).toBe('abcabcabc');
  });

  test('a single place is given although nobody may have the last one twice', async () => {
    const bench = new Bench(1, 5);
    bench.want('a', 2);
    await settled();
    await bench.release('a');
    expect(bench.granted).toEqual(['a', 'a']);
  });

  test('who gives up while waiting is passed over; who holds a place keeps it', async () => {
    const bench = new Bench(1, 1);
    const impatient = new AbortController();
    bench.want('a', 1, impatient.signal);
    await settled();
    const waiting = bench.slots.acquire('a', impatient.signal);
    bench.want('b');
    impatient.abort();
    await expect(waiting).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }));
    await settled();
    expect(bench.granted).toEqual(['a']);
    await bench.release('a');
    expect(bench.granted).toEqual(['a', 'b']);
    await expect(bench.slots.acquire('c', AbortSignal.abort())).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }));
  });

  test('a place given back twice is one place', async () => {
    const slots = new FairSlots({ total: 1, perOwner: 1 });
    const release = await slots.acquire('a', never);
    release();
    release();
    await slots.acquire('b', never);
    let third = false;
    void slots.acquire('c', never).then(() => {
      third = true;
    });
    await settled();
    expect(third).toBe(false);
  });
});

test('whatever comes in whatever order: bounds hold, and all are served in the end', async () => {
  const step = fc.oneof(
    fc.record({ want: fc.constantFrom('a', 'b', 'c', 'd'), times: fc.integer({ min: 1, max: 5 }) }),
    fc.record({ release: fc.constantFrom('a', 'b', 'c', 'd') }),
  );
  const run = async (total: number, perOwner: number, steps: readonly ({ want: string; times: number } | { release: string })[]): Promise<void> => {
    const bench = new Bench(total, perOwner);
    let wanted = 0;
    for (const next of steps) {
      if ('want' in next) bench.want(next.want, next.times);
      else await bench.release(next.release);
      wanted += 'want' in next ? next.times : 0;
      await settled();
      expect(bench.running).toBeLessThanOrEqual(total);
      for (const owner of ['a', 'b', 'c', 'd']) expect(bench.held(owner).length).toBeLessThanOrEqual(perOwner);
    }
    while (bench.running > 0) for (const owner of ['a', 'b', 'c', 'd']) await bench.release(owner);
    expect(bench.granted).toHaveLength(wanted);
  };
  await fc.assert(fc.asyncProperty(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 }), fc.array(step, { maxLength: 30 }), run), { numRuns: 100 });
});
