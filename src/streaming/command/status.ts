/** How a command ended, as the client is told in the error stream: metav1.Status from version 4 on, text before. */

export type CommandStatus =
  | { readonly outcome: 'success' }
  | { readonly outcome: 'exit'; readonly exitCode: number }
  | { readonly outcome: 'error'; readonly message: string };

export type StatusFormat = 'status' | 'text';

/** The bytes for the error stream; none for success as text. */
export function encodeStatus(status: CommandStatus, format: StatusFormat): Buffer {
  if (format === 'text') return Buffer.from(messageOf(status));
  return Buffer.from(JSON.stringify(statusObject(status)));
}

function messageOf(status: CommandStatus): string {
  switch (status.outcome) {
    case 'success':
      return '';
    case 'exit':
      return `command terminated with non-zero exit code: ${status.exitCode}`;
    case 'error':
      return status.message;
  }
}

/** apimachinery's metav1.Status; clients find the exit code as the cause of reason ExitCode. */
function statusObject(status: CommandStatus): object {
  if (status.outcome === 'success') return { metadata: {}, status: 'Success' };
  const failure = { metadata: {}, status: 'Failure', message: messageOf(status) };
  if (status.outcome === 'error') return { ...failure, reason: 'InternalError', code: 500 };
  return { ...failure, reason: 'NonZeroExitCode', details: { causes: [{ reason: 'ExitCode', message: String(status.exitCode) }] } };
}
