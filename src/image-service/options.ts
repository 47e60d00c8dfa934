/** What the image service is made from. */

import type { Logger } from 'pino';
import type { Config } from '../config/config.ts';
import type { Clock } from '../telemetry/clock.ts';
import type { ImageMetrics } from '../telemetry/image-metrics.ts';
import type { DiskUsage } from './store/layer-store.ts';
import type { UnpackLimits } from './store/unpacker.ts';

export interface ImageServiceOptions {
  /** The store keeps images/, layers/, staging/ and trash/ here. */
  readonly root: string;
  /** Absolute path of berth-unpack. */
  readonly unpackProgram: string;
  /** Where its server listens, in a directory for root alone. Without one, each of its commands is a process that berthd starts. */
  readonly unpackSocket?: string | undefined;
  readonly registry: Config['registry'];
  readonly log: Logger;
  readonly clock: Clock;
  readonly metrics?: ImageMetrics | undefined;
  /** The directory of the containers' writable layers; it exists when ImageFsInfo is asked. */
  readonly containersDir: string;
  /**
   * What the containers' writable layers take. Undefined, or a promise of undefined: not
   * known, and ImageFsInfo leaves the figures out rather than inventing them.
   */
  readonly containerUsage?: (() => Promise<DiskUsage | undefined>) | undefined;
  /** References of images that the kubelet must not collect. */
  readonly pinnedImages?: readonly string[] | undefined;
  readonly unpackLimits?: UnpackLimits | undefined;
  /** For the proxy variables; the process's own by default. */
  readonly environment?: Readonly<Record<string, string | undefined>> | undefined;
}
