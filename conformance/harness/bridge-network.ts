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
  // Unlike any other of this world: a bridge outlives its pods, and two with one subnet would fight.
  const number = process.pid * 4 + made;
  const name = `test${number}`;
  const bridge = `bt${number}`;
  const prefix = `10.${100 + ((number >> 8) % 128)}.${number % 256}.`;
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
