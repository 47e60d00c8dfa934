/** Images that a registry could serve to do harm, or that are simply broken. */

import { buildImage, buildLayer, digestOf, layerOfTar } from './oci-image.ts';
import type { BuiltImage } from './oci-image.ts';
import { busyboxLayer } from './images.ts';
import { dir, file, hardlink, symlink } from './root-fs.ts';

/** A name that climbs out of the layer's directory. */
export function dotDot(name: string): BuiltImage {
  return buildImage([busyboxLayer(), buildLayer([dir('innocent'), file(name, 'escaped\n')])], { Cmd: ['sh'] });
}

/** A symlink to `target`, then an entry written through it. */
export function throughSymlink(target: string, name: string): BuiltImage {
  return buildImage([busyboxLayer(), buildLayer([symlink('exit', target), file(`exit/${name}`, 'escaped\n')])], { Cmd: ['sh'] });
}

/** A hard link whose target is a file of the host. */
export function hardlinkToHost(target: string): BuiltImage {
  return buildImage([busyboxLayer(), buildLayer([hardlink('stolen', target)])], { Cmd: ['sh'] });
}

/** The config names an uncompressed digest that the layer does not have. */
export function wrongDiffId(): BuiltImage {
  const layer = buildLayer([file('liar', 'x')]);
  return buildImage([busyboxLayer(), layer], { Cmd: ['sh'] }, {
    diffIds: [busyboxLayer().diffId, digestOf(Buffer.from('something else'))],
  });
}

/** A layer that is gzip, but no tar inside. */
export function notATar(): BuiltImage {
  return buildImage([busyboxLayer(), layerOfTar(Buffer.alloc(4096, 'not a tar archive. '), 'gzip')], { Cmd: ['sh'] });
}

/** A big layer, so that a connection can be cut in the middle of it. */
export function big(bytes: number): BuiltImage {
  // Incompressible, and the same in each run.
  const noise = Buffer.alloc(bytes);
  let state = 0x9e3779b9;
  for (let at = 0; at + 4 <= bytes; at += 4) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    noise.writeInt32LE(state | 0, at);
  }
  return buildImage([busyboxLayer(), buildLayer([file('noise', noise)], 'none')], { Cmd: ['sh'] });
}
