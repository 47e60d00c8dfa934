/** The settings of one berthd. Every field has a default; docs/configuration.md describes each. */

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal';

export interface Config {
  /** What survives a reboot. Flag --root. */
  readonly root: string;
  /** What does not. Flag --state. */
  readonly state: string;
  /** `unix:///absolute/path`. Flag --listen. */
  readonly listen: string;
  readonly logLevel: LogLevel;
  /** `host:port`; port 0 picks one. Flag --stream-address. */
  readonly streamAddress: string;
  /** `host:port`, or empty for no metrics endpoint. Flag --metrics-address. */
  readonly metricsAddress: string;
  /** Flag --nri-socket. Empty: no NRI. */
  readonly nriSocket: string;
  readonly stream: {
    /** Serve streams by TLS. */
    readonly tls: boolean;
    /** PEM files; both empty: a certificate is generated. */
    readonly tlsCertificate: string;
    readonly tlsKey: string;
    /** Seconds without a byte after which a session is ended. */
    readonly idleTimeoutSeconds: number;
    /** Sessions open at once. */
    readonly maxSessions: number;
    /** URLs given out and not used. */
    readonly maxPending: number;
  };
  readonly cni: {
    readonly confDir: string;
    readonly binDirs: readonly string[];
    /** Where pinned network namespaces appear (`ip netns` reads /run/netns). */
    readonly netnsDir: string;
    /** Offer the built-in bridge network where confDir holds no configuration. */
    readonly defaultNetwork: boolean;
    /** Subnets of the built-in bridge network when the kubelet gave no pod CIDR. */
    readonly defaultSubnets: readonly string[];
    /** Seconds for one ADD or DEL of a whole list. */
    readonly timeoutSeconds: number;
  };
  readonly registry: {
    /** hosts.toml tree. Flag --registry-config-dir. */
    readonly configDir: string;
    /** Docker's tree of certificates, for registries that configDir does not name; empty for none. */
    readonly dockerCertsDir: string;
    /** Docker's config.json with credentials for pulls that bring none; empty for none. */
    readonly authFile: string;
    /** Downloads at once over all pulls. */
    readonly maxConcurrentDownloads: number;
    /** Unpackers at once over all pulls. */
    readonly maxConcurrentUnpacks: number;
    /** Layers of one pull at once, of the two above. */
    readonly maxConcurrentPerPull: number;
    /** Attempts at one server, the first included. */
    readonly attempts: number;
    /** Milliseconds before the second attempt; doubles with each further one. */
    readonly retryDelayMilliseconds: number;
    /** Seconds without a byte after which a pull is given up. */
    readonly progressTimeoutSeconds: number;
  };
  readonly images: {
    /** Images that the kubelet must not collect. */
    readonly pinnedImages: readonly string[];
    /** Bounds of one layer: unpacked bytes, entries, ratio beyond the first GiB, bytes of a path. */
    readonly maxLayerBytes: number;
    readonly maxLayerEntries: number;
    readonly maxLayerRatio: number;
    readonly maxPathLength: number;
  };
  readonly cdi: {
    /** Where CDI specs are, by rising priority. */
    readonly specDirs: readonly string[];
  };
  readonly runtime: {
    /** `auto` asks the machine: systemd when it is PID 1 and manages the cgroup tree. */
    readonly cgroupDriver: 'auto' | 'cgroupfs' | 'systemd';
    /** Flag --allow-missing-controllers. */
    readonly allowMissingControllers: boolean;
    /** pids.max of every container; 0 for no limit. */
    readonly pidsLimit: number;
    /** Privileged containers get the devices that they list, not all of the node's. */
    readonly privilegedWithoutHostDevices: boolean;
    /** Launches (sandboxes and containers) at once. */
    /** Bytes a second; 0 for no limit. */
    readonly logRateLimit: number;
    readonly maxConcurrentLaunches: number;
  };
}
