import { BerthError } from '../../errors/catalogue.ts';
import { untilAborted } from '../../state/keyed-lock.ts';
import type { Clock } from '../../telemetry/clock.ts';

/** What becomes of events, for the metrics. */
export interface EventObserver {
  published(): void;
  /** Events that somebody who was to have them did not get. */
  dropped(count: number): void;
  subscribers(count: number): void;
}

export interface EventHubOptions {
  readonly clock: Clock;
  readonly observer: EventObserver;
  /** How many events may wait for one subscriber. */
  readonly limit: number;
  /** For how long after its making the hub gives new subscribers everything from its beginning, in nanoseconds. */
  readonly returnWindow: bigint;
}

/** An event and what came after it. Who holds one holds all later ones, so nobody may hold one for long. */
interface Link<Event> {
  readonly event: Event | undefined;
  readonly number: number;
  next: Link<Event> | undefined;
}

/** Its position is the last event that it has taken; undefined once it has fallen too far behind. */
interface Subscriber<Event> {
  last: Link<Event> | undefined;
}

/**
 * Events, in order, to any number of subscribers.
 *
 *   first ──► … ──► … ──► … ──► tail        one chain for all; each subscriber has a place in it
 *               ▲           ▲
 *            slow one     quick one
 *
 * What every subscriber has passed is garbage. A subscriber that is `limit` events behind is cut off, with
 * an error from which its client learns that it must list; so memory is bounded by `limit` events, however
 * many subscribers there are, and none waits for another.
 */
export class EventHub<Event extends object> {
  readonly #options: EventHubOptions;
  readonly #subscribers = new Set<Subscriber<Event>>();
  readonly #openUntil: bigint;
  /** Where new subscribers begin during the return window. */
  #first: Link<Event> | undefined;
  /** The latest event; number 0 is the one that never was. */
  #tail: Link<Event> = { event: undefined, number: 0, next: undefined };
  #arrival = Promise.withResolvers<void>();

  constructor(options: EventHubOptions) {
    this.#options = options;
    this.#openUntil = options.clock.nowNanos() + options.returnWindow;
    this.#first = this.#tail;
  }

  /** Whether anybody will see what is published. Making an event that nobody sees can be saved. */
  get wanted(): boolean {
    this.#endReturnWindow();
    return this.#first !== undefined || this.#subscribers.size > 0;
  }

  publish(event: Event): void {
    const link: Link<Event> = { event, number: this.#tail.number + 1, next: undefined };
    this.#tail.next = link;
    this.#tail = link;
    this.#options.observer.published();
    this.#endReturnWindow();
    this.#dropOldest();
    for (const subscriber of this.#subscribers) this.#cutOffIfSlow(subscriber);
    this.#arrival.resolve();
    this.#arrival = Promise.withResolvers();
  }

  /** From the first `next()` on. Throws EVENTS_LOST when the subscriber is cut off, and the signal's reason. */
  async *subscribe(signal: AbortSignal): AsyncGenerator<Event, never, undefined> {
    this.#endReturnWindow();
    const subscriber: Subscriber<Event> = { last: this.#first ?? this.#tail };
    this.#subscribers.add(subscriber);
    // It was to have everything; what is no longer there counts as lost to it.
    if (this.#first !== undefined && this.#first.number > 0) this.#options.observer.dropped(this.#first.number);
    this.#options.observer.subscribers(this.#subscribers.size);
    try {
      for (;;) {
        signal.throwIfAborted();
        // Not the link: while the client is slow, this frame would keep the whole chain alive.
        const event = this.#take(subscriber);
        if (event === undefined) await untilAborted(this.#arrival.promise, signal);
        else yield event;
      }
    } finally {
      this.#subscribers.delete(subscriber);
      this.#options.observer.subscribers(this.#subscribers.size);
    }
  }

  #take(subscriber: Subscriber<Event>): Event | undefined {
    if (subscriber.last === undefined) {
      throw new BerthError('EVENTS_LOST', `this stream fell ${this.#options.limit} events behind and has lost them`);
    }
    const { next } = subscriber.last;
    if (next === undefined) return undefined;
    subscriber.last = next;
    return next.event;
  }

  #cutOffIfSlow(subscriber: Subscriber<Event>): void {
    if (subscriber.last === undefined) return;
    const behind = this.#tail.number - subscriber.last.number;
    if (behind <= this.#options.limit) return;
    subscriber.last = undefined;
    this.#options.observer.dropped(behind);
  }

  #dropOldest(): void {
    if (this.#first === undefined || this.#tail.number - this.#first.number <= this.#options.limit) return;
    this.#first = this.#first.next;
  }

  #endReturnWindow(): void {
    if (this.#first !== undefined && this.#options.clock.nowNanos() >= this.#openUntil) this.#first = undefined;
  }
}
