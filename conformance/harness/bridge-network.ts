/** CNI configuration of the tests: the standard bridge, host-local and portmap plugins. */

export interface BridgeNetwork {
  readonly conflist: object;
  /** The bridge device, which the plugin leaves behind by design. */
  readonly bridge: string;
  /** First three numbers of the pods' addresses, `10.201.7.` */
  readonly prefix: string;
  /** Where host-local keeps one file for each address in use. */
  readonly addressDir: string;
}

let made = 0;

/** A bridge and a subnet of its own for each daemon of this process. */
export function bridgeNetwork(dataDir: string): BridgeNetwork {
  made += 1;
  const name = `test${process.pid % 1000}-${made}`;
  const bridge = `bt${process.pid % 100_000}-${made}`;
  const prefix = `10.${200 + (process.pid % 50)}.${made % 250}.`;
  const conflist = {
    cniVersion: '1.0.0',
    name,
    plugins: [
      {
        type: 'bridge',
        bridge,
        isGateway: true,
        ipMasq: true,
        hairpinMode: true,
        ipam: { type: 'host-local', dataDir, ranges: [[{ subnet: `${prefix}0/24` }]], routes: [{ dst: '0.0.0.0/0' }] },
      },
      { type: 'portmap', capabilities: { portMappings: true } },
    ],
  };
  return { conflist, bridge, prefix, addressDir: `${dataDir}/${name}` };
}
