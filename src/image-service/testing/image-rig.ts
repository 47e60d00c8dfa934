/** A store, a puller and a mirror tree in a temporary directory, for tests. */

import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { systemClock } from '../../telemetry/clock.ts';
import { FairSlots } from '../fair-slots.ts';
import { ImagePuller } from '../image-pull.ts';
import { LayerPuller } from '../layer-pull.ts';
import { parseReference } from '../reference.ts';
import type { PullAuth } from '../registry/credentials.ts';
import { hostPlatform } from '../registry/platform.ts';
import type { SessionOptions } from '../registry/session.ts';
import { TokenCache } from '../registry/token-cache.ts';
import { TrustStore, systemTrust } from '../registry/trust-store.ts';
import type { ImageStore } from '../store/image-store.ts';
import { openImageStore } from '../store/open.ts';
import type { StoredImage } from '../store/stored-image.ts';
import { fakeUnpacker } from './fake-unpacker.ts';
import type { FakeUnpacker } from './fake-unpacker.ts';

export const quickRetry = { attempts: 3, firstDelay: 1, maxDelay: 2, maxRetryAfter: 50 };

export class ImageRig {
  readonly directory: string;
  readonly unpacker: FakeUnpacker = fakeUnpacker();
  readonly logged: string[] = [];
  store!: ImageStore;
  puller!: ImagePuller;
  /** Counts from the next `open`. */
  progressTimeout = 10_000;
  authFile = '';
  tokens = new TokenCache(systemClock());
  environment: Readonly<Record<string, string>> = {};

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async create(): Promise<ImageRig> {
    const rig = new ImageRig(await mkdtemp(join(tmpdir(), 'berth-images-')));
    await rig.open();
    return rig;
  }

  get root(): string {
    return join(this.directory, 'root');
  }

  /** Opens the store, as a fresh berthd does. */
  async open(): Promise<void> {
    const log = pino({ level: 'trace' }, { write: (line: string) => void this.logged.push(line) });
    this.store = await openImageStore(this.root, this.unpacker, log);
    const layerPuller = new LayerPuller({
      layers: this.store.layers,
      unpacker: this.unpacker,
      retry: quickRetry,
      downloads: new FairSlots({ total: 3, perOwner: 2 }),
      unpacks: new FairSlots({ total: 3, perOwner: 2 }),
    });
    this.puller = new ImagePuller({
      store: this.store,
      layerPuller,
      log,
      platform: hostPlatform(),
      session: this.sessionOptions,
    });
  }

  get sessionOptions(): SessionOptions {
    return {
      configDir: this.certs,
      dockerCertsDir: this.dockerCerts,
      authFile: this.authFile,
      retry: quickRetry,
      progressTimeout: this.progressTimeout,
      trust: new TrustStore(systemTrust({})),
      environment: this.environment,
      tokens: this.tokens,
    };
  }

  get certs(): string {
    return join(this.directory, 'certs.d');
  }

  get dockerCerts(): string {
    return join(this.directory, 'docker-certs.d');
  }

  async hosts(domain: string, text: string): Promise<void> {
    await mkdir(join(this.certs, domain), { recursive: true });
    await writeFile(join(this.certs, domain, 'hosts.toml'), text);
  }

  /** Plain HTTP, as only the mirror tree can allow it. */
  async plainHttp(host: string): Promise<void> {
    await this.hosts(host, `server = "http://${host}"\n`);
  }

  pull(reference: string, auth?: PullAuth, signal: AbortSignal = new AbortController().signal): Promise<StoredImage> {
    return this.puller.pull(parseReference(reference), auth, signal);
  }

  /** What lies about outside the images: unfinished layers and trash. */
  async leftovers(): Promise<readonly string[]> {
    await this.store.settle();
    return [...(await readdir(join(this.root, 'staging'))), ...(await readdir(join(this.root, 'trash')))];
  }

  async storedLayers(): Promise<readonly string[]> {
    return (await readdir(join(this.root, 'layers', 'sha256'))).map((hex) => `sha256:${hex}`);
  }

  async close(): Promise<void> {
    await this.puller.close();
    await this.store.settle();
    await rm(this.directory, { recursive: true, force: true });
  }
}
