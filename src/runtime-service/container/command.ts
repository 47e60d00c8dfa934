import { invalidField } from '../../errors/catalogue.ts';
import { maxPayloadBytes } from '../../shim/protocol.ts';

/** A command travels in one frame, beside its other settings. The kernel's own limit is of the same order (execve(2)). */
const maxCommandBytes = maxPayloadBytes - 1024;

/** Of ExecSync and Exec. */
export function checkCommand(command: readonly string[]): void {
  if (command.length === 0) throw invalidField('cmd', 'is empty');
  if (Buffer.byteLength(JSON.stringify(command)) > maxCommandBytes) throw invalidField('cmd', `is longer than ${maxCommandBytes} bytes`);
}
