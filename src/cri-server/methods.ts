/** What the call wrapper must know of each RPC beside its name. */

export interface MethodTraits {
  /** Asked again and again by the kubelet and changes nothing: logged at debug. */
  readonly reading: boolean;
  /**
   * Seconds after which the call is given up, whatever the client allows; 0 for none. Calls whose
   * length the client or the progress of a download decides have none.
   */
  readonly maxSeconds: number;
}

/** Answered from memory. Longer than this and something is stuck that the client should learn of. */
const readingSeconds = 30;

/** The kubelet allows two minutes (runtimeRequestTimeout), four for a sandbox. */
const changingSeconds = 240;

const unbounded = new Set([
  'PullImage', // ends when no byte arrives for long enough
  'Pull',
  'Push',
  'Import',
  'Export',
  'Verify',
  'ExecSync', // the request's time-out, which may be none
  'StopContainer', // the request's grace period
  'StopPodSandbox', // waits for its containers
  'RemovePodSandbox',
  'CheckpointContainer',
  'CheckpointPod',
  'RestorePod',
  'GetContainerEvents', // ends with the client
]);

const reading =
  /^(Version|Status|RuntimeConfig|ImageStatus|ImageFsInfo|PodSandboxStatus|ContainerStatus|PodSandboxStats|ContainerStats|GetContainerEvents|Inspect|(List|Stream).*)$/;

/** Probes: many a second on a full node. */
const frequent = new Set(['ExecSync']);

export function methodTraits(method: string): MethodTraits {
  const isReading = reading.test(method);
  return {
    reading: isReading || frequent.has(method),
    maxSeconds: unbounded.has(method) ? 0 : isReading ? readingSeconds : changingSeconds,
  };
}
