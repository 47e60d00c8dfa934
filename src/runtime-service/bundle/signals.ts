import { constants } from 'node:os';
import { invalidField } from '../../errors/catalogue.ts';
import type { Signal__Output } from '../../cri-server/generated/runtime/v1/Signal.ts';

/** First and last real-time signal as glibc and musl programs see them (signal(7)). */
const rtMin = 34;
const rtMax = 64;

/** Names that Linux has beside those that Node lists. */
const aliases: Readonly<Record<string, number>> = { SIGCLD: constants.signals.SIGCHLD, SIGPOLL: constants.signals.SIGIO };

/** The number of a signal written as "SIGTERM", "TERM", "15" or "SIGRTMIN+3"; undefined when it is none. */
export function signalNumber(text: string): number | undefined {
  if (/^\d+$/.test(text)) {
    const value = Number(text);
    return value >= 1 && value <= rtMax ? value : undefined;
  }
  const upper = text.toUpperCase();
  const name = upper.startsWith('SIG') ? upper : `SIG${upper}`;
  const realTime = /^SIGRT(MIN|MAX)(?:(\+|-)(\d{1,2}))?$/.exec(name);
  if (realTime === null) return aliases[name] ?? (constants.signals as Record<string, number>)[name];
  const offset = realTime[3] === undefined ? 0 : Number(realTime[3]);
  const value = realTime[1] === 'MIN' ? rtMin + offset : rtMax - offset;
  const rightWay = offset === 0 || (realTime[1] === 'MIN') === (realTime[2] === '+');
  return rightWay && value >= rtMin && value <= rtMax ? value : undefined;
}

/** The CRI's enum name for a number, for ContainerStatus.stop_signal. */
export function criSignal(number: number): Signal__Output {
  if (number >= rtMin) {
    const low = number - rtMin;
    if (low <= 15) return (low === 0 ? 'SIGNAL_SIGRTMIN' : `SIGNAL_SIGRTMINPLUS${low}`) as Signal__Output;
    const high = rtMax - number;
    return (high === 0 ? 'SIGNAL_SIGRTMAX' : `SIGNAL_SIGRTMAXMINUS${high}`) as Signal__Output;
  }
  const name = Object.entries(constants.signals).find(([key, value]) => value === number && key !== 'SIGIOT' && key !== 'SIGPOLL')?.[0];
  return `SIGNAL_${name ?? 'SIGTERM'}` as Signal__Output;
}

/** The signal that stops a container: the request's, else the image's, else SIGTERM. Throws INVALID_FIELD. */
export function stopSignal(requested: Signal__Output, fromImage: string): number {
  if (requested !== 'SIGNAL_RUNTIME_DEFAULT') {
    const text = requested.replace('SIGNAL_', '').replace('PLUS', '+').replace('MINUS', '-');
    const number = signalNumber(text);
    if (number === undefined) throw invalidField('config.stop_signal', `"${requested}" is not a signal of Linux`);
    return number;
  }
  if (fromImage === '') return constants.signals.SIGTERM;
  const number = signalNumber(fromImage);
  if (number === undefined) throw invalidField('config.image', `the image's stop signal "${fromImage}" is not a signal of Linux`);
  return number;
}
