/** Resources with the cgroupfs driver: the value in the kernel's file, and what happens at it. */

import { expect, test } from 'vitest';
import { busybox } from '../../harness/images.ts';
import { useStage } from '../../harness/stage.ts';
import { diskLimitsHold } from '../resources/disk.ts';
import { limitsHold } from '../resources/effects.ts';
import { limitsAreInTheFiles, refusesParent } from '../resources/limits.ts';
import { updatesAreWhole } from '../resources/updates.ts';

const stage = useStage({ images: { busybox }, enforceLimits: true, leakCheck: 'once', settings: '[runtime]\npids_limit = 2345\n' });

test('the driver is cgroupfs where systemd is not the init, and a slice is no parent for it', async () => {
  const { linux } = await stage.cri.call('RuntimeConfig', {});
  expect(linux?.cgroup_driver).toBe('CGROUPFS');
  await refusesParent(stage, 'kubepods-pod1.slice', /cgroup_parent.*cgroupfs/);
});

limitsAreInTheFiles(stage, 2345);
limitsHold(stage);
diskLimitsHold(stage);
updatesAreWhole(stage);
