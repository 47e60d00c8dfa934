import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { EventHub } from './event-hub.ts';

interface Numbered {
  readonly n: number;
}

const window = 60n;

function makeHub(limit = 16) {
  const counts = { published: 0, dropped: 0, subscribers: 0 };
  const time = { now: 0n };
  const hub = new EventHub<Numbered>({
    clock: { nowNanos: () => time.now },
    observer: {
      published: () => void (counts.published += 1),
      dropped: (count) => void (counts.dropped += count),
      subscribers: (count) => void (counts.subscribers = count),
    },
    limit,
    returnWindow: window,
  });
  return { hub, counts, time };
}

/** A client that reads at once, until its signal. */
function reader(hub: EventHub<Numbered>) {
  const controller = new AbortController();
  const seen: number[] = [];
  const read = async (): Promise<void> => {
    for await (const { n } of hub.subscribe(controller.signal)) seen.push(n);
  };
  return { seen, ended: read().catch((error: unknown) => error), end: () => controller.abort(new Error('the client went')) };
}

const upTo = (count: number, from = 1) => Array.from({ length: count }, (_, index) => index + from);

test('a subscriber gets what is published from then on, in order, until it goes', async () => {
  const { hub, counts, time } = makeHub();
  time.now = window;
  hub.publish({ n: 0 });
  const client = reader(hub);
  expect(counts.subscribers).toBe(1);
  for (const n of upTo(5)) hub.publish({ n });
  await turn();
  client.end();
  expect(await client.ended).toMatchObject({ message: 'the client went' });
  expect(client.seen).toEqual(upTo(5));
  expect(counts).toEqual({ published: 6, dropped: 0, subscribers: 0 });
});

test('who comes within the return window gets everything from the start, who comes later does not', async () => {
  const { hub, time } = makeHub();
  hub.publish({ n: 1 });
  const early = reader(hub);
  await turn();
  time.now = window - 1n;
  hub.publish({ n: 2 });
  const inTime = reader(hub);
  time.now = window;
  const late = reader(hub);
  hub.publish({ n: 3 });
  await turn();
  expect([early, inTime, late].map(({ seen }) => seen)).toEqual([[1, 2, 3], [1, 2, 3], [3]]);
  for (const client of [early, inTime, late]) client.end();
});

test('the return window keeps the latest events alone, and counts what a subscriber has missed', async () => {
  const { hub, counts } = makeHub(4);
  for (const n of upTo(10)) hub.publish({ n });
  expect(counts.dropped).toBe(0);
  const client = reader(hub);
  await turn();
  expect(client.seen).toEqual([7, 8, 9, 10]);
  expect(counts.dropped).toBe(6);
  client.end();
});

test('events are wanted while somebody listens or may come back', async () => {
  const { hub, time } = makeHub();
  expect(hub.wanted).toBe(true);
  time.now = window;
  expect(hub.wanted).toBe(false);
  const client = reader(hub);
  expect(hub.wanted).toBe(true);
  client.end();
  await client.ended;
  expect(hub.wanted).toBe(false);
});

test('a subscriber that is too far behind loses its stream, with what it lost counted; the others go on', async () => {
  const { hub, counts } = makeHub(4);
  const slow = hub.subscribe(new AbortController().signal);
  const first = slow.next();
  const quick = reader(hub);
  for (const n of upTo(6)) {
    hub.publish({ n });
    await turn();
  }
  expect(await first).toEqual({ value: { n: 1 }, done: false });
  await expect(slow.next()).rejects.toMatchObject({ code: 'EVENTS_LOST', status: 8 });
  expect(quick.seen).toEqual(upTo(6));
  expect(counts.dropped).toBe(5);
  quick.end();
});

test('a stream that is dropped in the middle of a wait unsubscribes', async () => {
  const { hub, counts } = makeHub();
  const stream = hub.subscribe(AbortSignal.abort(new Error('gone before')));
  await expect(stream.next()).rejects.toThrow('gone before');
  expect(counts.subscribers).toBe(0);
});

test('100 subscribers and 10,000 events: every one has all in order, and the slow ones hold nothing up or in memory', async () => {
  const limit = 1000;
  const events = 10_000;
  const { hub, counts, time } = makeHub(limit);
  time.now = window;
  const quick = Array.from({ length: 95 }, () => reader(hub));
  const stuck = Array.from({ length: 5 }, () => hub.subscribe(new AbortController().signal));
  const begun = stuck.map((stream) => stream.next());
  const alive: WeakRef<Numbered>[] = [];
  for (const n of upTo(events)) {
    const event = { n };
    alive.push(new WeakRef(event));
    hub.publish(event);
    if (n % 250 === 0) await turn();
  }
  await turn();
  for (const { seen } of quick) expect(seen).toEqual(upTo(events));
  expect(await Promise.all(begun)).toEqual(begun.map(() => ({ value: { n: 1 }, done: false })));
  expect(counts.dropped).toBe(stuck.length * (limit + 1));

  collectGarbage();
  await turn();
  collectGarbage();
  // The tail, and what the engine still has at hand.
  expect(alive.filter((reference) => reference.deref() !== undefined).length).toBeLessThan(20);
  for (const stream of stuck) await expect(stream.next()).rejects.toMatchObject({ code: 'EVENTS_LOST' });
  for (const client of quick) client.end();
});

function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}
