import { BerthError, invalidField } from '../../errors/catalogue.ts';
import type { Container, Runtime } from '../runtime.ts';

/** Which of its standard streams a client wants of a process. */
export interface WantedStreams {
  readonly tty: boolean;
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
}

/** "One of `stdin`, `stdout`, and `stderr` MUST be true. If `tty` is true, `stderr` MUST be false." (CRI) */
export function checkStreams({ tty, stdin, stdout, stderr }: WantedStreams): void {
  if (tty && stderr) throw invalidField('stderr', 'is set beside tty; a terminal has one output, ask for stdout alone');
  if (!stdin && !stdout && !stderr) throw invalidField('stdin', 'none of stdin, stdout and stderr is set; ask for at least one');
}

/** The container if its process runs: also one that has been asked to stop and takes its time. */
export function runningContainer(runtime: Runtime, id: string): Container {
  const container = runtime.containers.get(id, 'container', 'CONTAINER_NOT_FOUND');
  const { record } = container;
  if (record.phase !== 'running') throw new BerthError('CONTAINER_WRONG_STATE', `container ${record.id} is ${record.phase}, not running`);
  return container;
}
