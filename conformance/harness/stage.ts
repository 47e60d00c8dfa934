/** What a file of scenarios stands on: a registry with images, a berthd, a client, the leak check. */

import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest';
import { makeCgroupBase } from './cgroup-base.ts';
import type { CgroupBase } from './cgroup-base.ts';
import { connectCri, CriError } from './cri-client.ts';
import type { CodeName, CriClient } from './cri-client.ts';
import { prepareDaemon } from './daemon.ts';
import type { Daemon, DaemonOptions } from './daemon.ts';
import { kubelet } from './kubelet.ts';
import type { Kubelet } from './kubelet.ts';
import { expectNoLeaks, snapshot } from './leaks.ts';
import type { LeakScope, Snapshot, SnapshotOptions } from './leaks.ts';
import type { BuiltImage, BuiltIndex } from './oci-image.ts';
import { push } from './push.ts';
import { startRegistry } from './registry.ts';
import type { Registry } from './registry.ts';
import { makeSliceBase } from './slice-base.ts';
import { requireWorld } from './world.ts';

export interface StageOptions extends DaemonOptions {
  /** Repository → image. Pushed as `latest` before the first scenario. */
  readonly images?: Readonly<Record<string, () => BuiltImage | BuiltIndex>>;
  /** Repositories that berthd has already pulled when the scenarios start; by default all. */
  readonly pulled?: readonly string[];
  readonly leaks?: SnapshotOptions;
  /** After each scenario; or, where looking takes long, once after all of them. */
  readonly leakCheck?: 'each' | 'once';
  /** Done once before the first scenario, for what is made at first use and then stays by design. */
  readonly warmUp?: (stage: Stage) => Promise<void>;
  readonly permanentDevices?: readonly string[];
  /** Of the kubelet, which makes the pods' cgroups; berthd finds out its own. */
  readonly cgroupDriver?: 'cgroupfs' | 'systemd';
}

export interface Stage {
  readonly registry: Registry;
  readonly daemon: Daemon;
  readonly cri: CriClient;
  readonly kubelet: Kubelet;
  readonly cgroups: CgroupBase;
  /** The full reference of an image in the registry. */
  ref(repository: string, tag?: string): string;
  pull(reference: string): Promise<string>;
  /** A new directory of this stage. */
  directory(name: string): Promise<string>;
  /** The leak check, also to be called in the middle of a scenario. */
  expectNothingLeft(): Promise<void>;
  /** Drops the client and connects anew, as after a restart. */
  reconnect(): void;
}

/** Registers the hooks for a file of scenarios. The stage can be used from within its tests. */
export function useStage(options: StageOptions = {}): Stage {
  let parts: { registry: Registry; daemon: Daemon; cri: CriClient; kubelet: Kubelet; cgroups: CgroupBase; scope: LeakScope } | undefined;
  let before: Snapshot | undefined;
  let failed = false;
  const up = (): NonNullable<typeof parts> => {
    if (parts === undefined) throw new Error('the stage is up only within tests');
    return parts;
  };

  const stage: Stage = {
    get registry() { return up().registry; },
    get daemon() { return up().daemon; },
    get cri() { return up().cri; },
    get kubelet() { return up().kubelet; },
    get cgroups() { return up().cgroups; },
    ref: (repository, tag = 'latest') => `${up().registry.host}/${repository}:${tag}`,
    pull: async (reference) => (await up().cri.call('PullImage', { image: { image: reference } })).image_ref,
    directory: async (name) => {
      const full = path.join(up().daemon.directory, name);
      await mkdir(full, { recursive: true });
      return full;
    },
    expectNothingLeft: async () => {
      if (before !== undefined) await expectNoLeaks(up().scope, before, options.leaks);
    },
    reconnect: () => {
      up().cri.close();
      up().cri = connectCri(up().daemon.socket);
    },
  };

  beforeAll(async () => {
    requireWorld();
    const registry = await startRegistry();
    for (const [repository, image] of Object.entries(options.images ?? {})) await push(registry, repository, 'latest', image());
    const daemon = await prepareDaemon({ ...options, registries: { [registry.host]: registry.url, ...options.registries } });
    const cgroups = await (options.cgroupDriver === 'systemd' ? makeSliceBase() : makeCgroupBase());
    const scope: LeakScope = {
      root: daemon.root,
      state: daemon.state,
      addressDir: daemon.network.addressDir,
      permanentDevices: [daemon.network.bridge, ...(options.permanentDevices ?? [])],
      cgroupBase: cgroups.directory,
      pid: () => daemon.pid,
    };
    const logs = path.join(daemon.directory, 'logs');
    parts = { registry, daemon, cgroups, scope, cri: connectCri(daemon.socket), kubelet: kubelet({ cri: () => up().cri, cgroups, logs }) };
    await daemon.start();
    // Opens the connection, so that it is not taken for something left behind by the first scenario.
    await stage.cri.call('Version', {});
    for (const repository of options.pulled ?? Object.keys(options.images ?? {})) await stage.pull(stage.ref(repository));
    await options.warmUp?.(stage);
    if (options.leakCheck === 'once') before = await snapshot(up().scope, options.leaks);
  });

  beforeEach(async () => {
    if (options.leakCheck !== 'once') before = await snapshot(up().scope, options.leaks);
  });

  afterEach(async ({ task }) => {
    if (task.result?.state === 'fail') {
      failed = true;
      // The failure counts; what it left is taken away so that it does not fail the next one too.
      await up().kubelet.removeAll().catch(() => undefined);
      if (options.leaks?.images === true) await removeImages(up().cri).catch(() => undefined);
      process.stderr.write(`--- berthd, last lines in "${task.name}":\n${up().daemon.log.slice(-15).join('\n')}\n`);
      return;
    }
    if (options.leakCheck !== 'once') await stage.expectNothingLeft();
  });

  afterAll(async () => {
    if (parts === undefined) return;
    const { cri, daemon, registry, cgroups } = parts;
    try {
      if (options.leakCheck === 'once' && !failed) await stage.expectNothingLeft();
    } finally {
      await parts.kubelet.removeAll().catch(() => undefined);
      cri.close();
      await daemon.dispose();
      await registry.stop();
      await cgroups.remove();
    }
  });
  return stage;
}

async function removeImages(cri: CriClient): Promise<void> {
  for (const { id } of (await cri.call('ListImages', {})).images) await cri.call('RemoveImage', { image: { image: id } });
}

/** Expects a call to fail with this gRPC code and a message that says what the pattern wants. */
export async function expectCode(call: Promise<unknown>, code: CodeName, message: RegExp = /./): Promise<CriError> {
  const error = await call.then(
    (answer) => {
      throw new Error(`should have failed with ${code}, but answered ${JSON.stringify(answer)}`);
    },
    (reason: unknown) => reason,
  );
  if (!(error instanceof CriError)) throw error;
  expect(`${error.code}: ${error.details}`).toMatch(new RegExp(`^${code}: `));
  expect(error.details).toMatch(message);
  return error;
}
