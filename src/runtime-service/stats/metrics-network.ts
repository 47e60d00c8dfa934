import type { Family } from './metric-family.ts';
import type { InterfaceCounters } from './network.ts';

function counter(name: string, help: string, value: (counters: InterfaceCounters) => string): Family<readonly InterfaceCounters[]> {
  return {
    name,
    help,
    type: 'COUNTER',
    labels: ['interface'],
    samples: (interfaces) => interfaces.map((counters) => ({ labels: [counters.name], value: value(counters) })),
  };
}

/** Of a pod: its containers share the network. */
export const networkFamilies: readonly Family<readonly InterfaceCounters[]>[] = [
  counter('container_network_receive_bytes_total', 'Bytes received.', ({ rxBytes }) => rxBytes),
  counter('container_network_receive_packets_total', 'Packets received.', ({ rxPackets }) => rxPackets),
  counter('container_network_receive_packets_dropped_total', 'Packets dropped while receiving.', ({ rxDropped }) => rxDropped),
  counter('container_network_receive_errors_total', 'Errors while receiving.', ({ rxErrors }) => rxErrors),
  counter('container_network_transmit_bytes_total', 'Bytes transmitted.', ({ txBytes }) => txBytes),
  counter('container_network_transmit_packets_total', 'Packets transmitted.', ({ txPackets }) => txPackets),
  counter('container_network_transmit_packets_dropped_total', 'Packets dropped while transmitting.', ({ txDropped }) => txDropped),
  counter('container_network_transmit_errors_total', 'Errors while transmitting.', ({ txErrors }) => txErrors),
];
