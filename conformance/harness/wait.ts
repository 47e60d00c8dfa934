import { setTimeout as sleep } from 'node:timers/promises';

/** Asks until the answer is something, and gives it. The limit is for a machine under load. */
export async function eventually<T>(what: string, ask: () => Promise<T | undefined>, limitMs = 30_000): Promise<T> {
  const deadline = Date.now() + limitMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (Date.now() > deadline) throw new Error(`not within ${limitMs} ms: ${what}`);
    await sleep(25);
  }
}
