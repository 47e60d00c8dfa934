import type { Logger } from 'pino';

import type { AttachmentCache } from './attachment-cache.ts';
import { interfaceName } from './cni-args.ts';
import type { Deadline } from './deadline.ts';
import { atLeast } from './network-list.ts';
import type { NetworkList } from './network-list.ts';
import { pluginInput } from './plugin-chain.ts';
import type { PluginCaller } from './plugin-call.ts';

/**
 * CNI 1.1 GC: tells every plugin which attachments of the network are alive, so that it releases what
 * belongs to nobody, such as an address whose record was lost with the disk cache. Errors are logged
 * and passed over: GC is best effort, and older plugins do not know it.
 */
export async function runPluginGarbageCollection(
  list: NetworkList,
  cache: AttachmentCache,
  caller: PluginCaller,
  deadline: Deadline,
  log: Logger,
): Promise<void> {
  if (list.disableGC || !atLeast(list.cniVersion, '1.1.0')) return;
  const attachments = (await cache.ids()).map((containerID) => ({ containerID, ifname: interfaceName }));
  for (const plugin of list.plugins) {
    const config = pluginInput(list, plugin, { 'cni.dev/valid-attachments': attachments });
    try {
      await caller.call({ type: plugin.type, command: 'GC', network: list.name, pod: '', environment: {}, config }, deadline);
    } catch (error) {
      if (deadline.signal.aborted) throw error;
      log.info({ err: error, plugin: plugin.type, network: list.name }, 'plugin did not collect garbage');
    }
  }
}
