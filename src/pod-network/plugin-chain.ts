import { statfs } from 'node:fs/promises';

import type { Attachment } from './attachment-cache.ts';
import { attachmentEnvironment, podName } from './cni-args.ts';
import { parseResult } from './cni-result.ts';
import type { Deadline } from './deadline.ts';
import type { JsonRecord } from './json-record.ts';
import { atLeast } from './network-list.ts';
import type { NetworkList, PluginConfig } from './network-list.ts';
import { pluginError } from './plugin-call.ts';
import type { CniCommand, PluginCall, PluginCaller } from './plugin-call.ts';
import { runtimeConfigFor } from './runtime-config.ts';

/** Runs ADD and DEL over a list, as the CNI specification's "Execution protocol" orders it. */
export class PluginChain {
  readonly #caller: PluginCaller;

  constructor(caller: PluginCaller) {
    this.#caller = caller;
  }

  /** In order, each plugin given the result of the one before; the last result is the network's. */
  async add(attachment: Attachment, deadline: Deadline): Promise<JsonRecord> {
    const { list, request } = attachment;
    const environment = attachmentEnvironment(request, request.netnsPath);
    let previous: JsonRecord | undefined;
    for (const plugin of list.plugins) {
      const call = attachmentCall('ADD', attachment, plugin, environment, previous);
      const stdout = await this.#caller.call(call, deadline);
      previous = resultOf(call, stdout, list);
    }
    return previous ?? {};
  }

  /**
   * In reverse order. It ends at the first error, as the specification demands: a plugin is undone
   * only when everything stacked on it is, so an address is not handed out again while a port still
   * leads to it.
   */
  async del(attachment: Attachment, deadline: Deadline): Promise<void> {
    const { list, request, result } = attachment;
    const environment = attachmentEnvironment(request, await livingNamespace(request.netnsPath));
    // 0.3.x knows prevResult for ADD alone.
    const previous = atLeast(list.cniVersion, '0.4.0') ? result : undefined;
    for (const plugin of list.plugins.toReversed()) {
      await this.#caller.call(attachmentCall('DEL', attachment, plugin, environment, previous), deadline);
    }
  }
}

/** The configuration of one plugin as it reads it from standard input; list keys win over its own. */
export function pluginInput(list: NetworkList, plugin: PluginConfig, extra: JsonRecord): JsonRecord {
  return { ...plugin.raw, name: list.name, cniVersion: list.cniVersion, ...extra };
}

function attachmentCall(
  command: CniCommand,
  attachment: Attachment,
  plugin: PluginConfig,
  environment: Readonly<Record<string, string>>,
  previous: JsonRecord | undefined,
): PluginCall {
  const runtimeConfig = runtimeConfigFor(plugin.capabilities, attachment.capabilities);
  const extra = {
    ...(runtimeConfig === undefined ? {} : { runtimeConfig }),
    ...(previous === undefined ? {} : { prevResult: previous }),
  };
  return {
    type: plugin.type,
    command,
    network: attachment.list.name,
    pod: podName(attachment.request),
    environment,
    config: pluginInput(attachment.list, plugin, extra),
  };
}

function resultOf(call: PluginCall, stdout: string, list: NetworkList): JsonRecord {
  try {
    return parseResult(stdout, list.cniVersion);
  } catch (error) {
    throw pluginError(call, error instanceof Error ? error.message : String(error));
  }
}

/** NSFS_MAGIC, include/uapi/linux/magic.h. */
const nsfsMagic = 0x6e736673;

/**
 * The path while a namespace is pinned there, else the empty string that tells DEL that it is gone.
 * After a reboot the pin is missing or a plain file, and plugins fail on a path that is no namespace.
 */
async function livingNamespace(path: string): Promise<string> {
  if (path === '') return '';
  try {
    return (await statfs(path)).type === nsfsMagic ? path : '';
  } catch {
    return '';
  }
}
