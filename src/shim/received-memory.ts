/**
 * Gives the memory of received chunks back as soon as it is used up. Node.js reads into a new ArrayBuffer
 * each time; at hundreds of megabytes a second the garbage collector, which has to find out that they are
 * free, costs more than everything else together. Who has read a chunk says `received`; whoever is done with
 * some of its bytes says `usedUp`, once for each byte. When that is said of all, the buffer is detached.
 * Bytes of which nobody says so are left to the garbage collector as ever.
 */

/** Below, the garbage collector is cheaper. */
const minBytes = 4096;

const inUse = new WeakMap<ArrayBufferLike, number>();

/** The chunk came from a socket and has its memory to itself. */
export function received(chunk: Buffer): void {
  if (chunk.length >= minBytes && chunk.length === chunk.buffer.byteLength) inUse.set(chunk.buffer, chunk.length);
}

/** Nobody reads these bytes any more. A part of a chunk that was `received`, or anything else, which is left alone. */
export function usedUp(bytes: Buffer): void {
  const { buffer } = bytes;
  const before = inUse.get(buffer);
  if (before === undefined) return;
  const left = before - bytes.length;
  if (left > 0) {
    inUse.set(buffer, left);
    return;
  }
  inUse.delete(buffer);
  if (buffer instanceof ArrayBuffer) buffer.transfer(0);
}
