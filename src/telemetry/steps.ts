/**
 * The steps of a call, for metrics and traces. Whoever does the work names it; who watches, if anybody does, is
 * known from the call that the work belongs to, so that nothing has to be passed along:
 *
 *   await step('sandbox.network', () => network.setUp(request, signal));
 *
 * Work that a queue starts later would belong to whichever call freed its place: queue.add(carried(work)).
 */
import { AsyncLocalStorage } from 'node:async_hooks';

/** Every step there is; docs/metrics.md says what each of them does. */
export const stepNames = [
  'sandbox.queue', 'sandbox.record', 'sandbox.files', 'sandbox.cgroup', 'sandbox.namespaces', 'sandbox.network',
  'container.queue', 'container.record', 'container.rootfs', 'container.bundle', 'container.cgroup', 'container.launch', 'container.start',
  'network.plugin',
  'pull.session', 'pull.resolve', 'pull.layer', 'pull.unpack', 'pull.commit',
  'release.directory', 'release.cgroup', 'release.namespaces', 'release.network', 'release.shim', 'release.image',
] as const;

export type StepName = (typeof stepNames)[number];

export type Attributes = Readonly<Record<string, string | number | boolean>>;

export interface BegunStep {
  /** Watches the steps that are part of this one. */
  readonly inner: StepObserver;
  /** `error` is undefined when the step has succeeded. */
  end(error: unknown): void;
}

export interface StepObserver {
  begin(name: StepName, attributes: Attributes): BegunStep;
}

const current = new AsyncLocalStorage<StepObserver>();

/** Runs `work`, and everything that it starts, watched by `observer`. */
export function observed<T>(observer: StepObserver, work: () => T): T {
  return current.run(observer, work);
}

/** Runs `work` as a step of the call that it belongs to, if any. Rejects as `work` does. */
export async function step<T>(name: StepName, work: () => Promise<T>, attributes: Attributes = {}): Promise<T> {
  const observer = current.getStore();
  if (observer === undefined) return work();
  const begun = observer.begin(name, attributes);
  try {
    const result = await current.run(begun.inner, work);
    begun.end(undefined);
    return result;
  } catch (error) {
    begun.end(error);
    throw error;
  }
}

/** `work` as part of the call that is running now, whenever it will be run. */
export function carried<T>(work: () => Promise<T>): () => Promise<T> {
  return AsyncLocalStorage.bind(work);
}

/** Queues `work` and has it carried; the time until its turn is the step `name`. */
export async function queued<T>(queue: { add<R>(work: () => Promise<R>): Promise<R> }, name: StepName, work: () => Promise<T>): Promise<T> {
  const turn = Promise.withResolvers<void>();
  const wait = step(name, () => turn.promise);
  try {
    return await queue.add(carried(() => {
      turn.resolve();
      return work();
    }));
  } finally {
    turn.resolve();
    await wait;
  }
}
