/** Notices that a server does not take the body of a request any more. */

/** `stalled` is called when nobody has asked for more of the body for so many milliseconds; not any more once all of it is out. */
export async function* watchStall(body: AsyncIterable<Buffer>, milliseconds: number, stalled: () => void): AsyncGenerator<Buffer, void, undefined> {
  const timer = setTimeout(stalled, milliseconds);
  try {
    for await (const chunk of body) {
      timer.refresh();
      yield chunk;
    }
  } finally {
    clearTimeout(timer);
  }
}
