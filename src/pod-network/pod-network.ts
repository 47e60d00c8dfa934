/** What the runtime service needs of the pod network. */

export type PortProtocol = 'tcp' | 'udp' | 'sctp';

export interface PortMapping {
  readonly protocol: PortProtocol;
  /** 1 to 65535. */
  readonly containerPort: number;
  /** 1 to 65535. Mappings without a host port are left out before they get here. */
  readonly hostPort: number;
  /** Empty for all addresses. */
  readonly hostIp: string;
}

/** Everything CNI is told about a pod; kept in the sandbox's record so that DEL can be repeated. */
export interface PodNetworkRequest {
  readonly sandboxId: string;
  /** Absolute path of the pinned network namespace. It may be gone by the time of DEL. */
  readonly netnsPath: string;
  readonly podNamespace: string;
  readonly podName: string;
  readonly podUid: string;
  readonly portMappings: readonly PortMapping[];
  readonly annotations: Readonly<Record<string, string>>;
  /** Absolute path of the pod's cgroup, for plugins with the cgroupPath capability; may be empty. */
  readonly cgroupPath: string;
  readonly dns: { readonly servers: readonly string[]; readonly searches: readonly string[]; readonly options: readonly string[] };
}

export interface PodNetworkResult {
  /** Addresses of the pod's eth0 in the order the plugins gave them; the first is the primary. */
  readonly ips: readonly string[];
  /** The last plugin's CNI result, for verbose status. */
  readonly cniResult: unknown;
}

export interface NetworkStatus {
  readonly ready: boolean;
  /** A CamelCase word for the condition's reason field; empty when ready. */
  readonly reason: string;
  readonly message: string;
}

export interface PodNetwork {
  /** From memory. */
  status(): NetworkStatus;
  /** What is loaded, for verbose status: network name, CNI version, plugin types, file, directories. */
  describe(): unknown;
  /**
   * CNI ADD of every plugin in the list. On failure everything added so far has been deleted again,
   * or, where DEL failed too, stays in the cache for `tearDown` to retry.
   */
  setUp(request: PodNetworkRequest, signal: AbortSignal): Promise<PodNetworkResult>;
  /**
   * CNI DEL in reverse order, with the configuration and result that ADD cached, even when the
   * node's configuration has changed or the namespace is gone. Succeeds on what is already gone.
   */
  tearDown(request: PodNetworkRequest, signal: AbortSignal): Promise<void>;
  /** Sandbox ids with a cached ADD, for reconciliation at start. */
  cached(): Promise<readonly string[]>;
  /**
   * At start: DEL for cached attachments of sandboxes that are not in the list, then, for networks of
   * CNI 1.1, GC. Attachments made since start are left alone. The ids released; failures are logged
   * and stay cached.
   */
  collect(validSandboxIds: readonly string[], signal: AbortSignal): Promise<readonly string[]>;
  /** The node's pod CIDR(s) from UpdateRuntimeConfig, comma separated; empty is ignored. */
  setPodCidr(cidr: string): Promise<void>;
  close(): Promise<void>;
}
