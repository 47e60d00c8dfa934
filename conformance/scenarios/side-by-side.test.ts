/** The same OCI bundle, run by Berth's shim and by Debian's runc, gives the same container but for what is documented. */

import { registerSideBySide } from '../oci/side-by-side.ts';
import { requireWorld } from '../harness/world.ts';

requireWorld();
registerSideBySide();
