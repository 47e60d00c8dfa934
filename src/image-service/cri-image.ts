/** The CRI's Image message from a stored image. */

import type { Image } from '../cri-server/generated/runtime/v1/Image.ts';
import { isTag, packedSize } from './store/stored-image.ts';
import type { StoredImage } from './store/stored-image.ts';

export type PinnedImages = ReadonlySet<string>;

export function criImage(image: StoredImage, pinned: PinnedImages): Image {
  const names = [...image.names.keys()];
  return {
    id: image.id,
    repo_tags: names.filter(isTag),
    repo_digests: names.filter((name) => !isTag(name)),
    size: String(packedSize(image)),
    ...imageUser(image.imageConfig.run.user),
    spec: { image: names.find(isTag) ?? names[0] ?? image.id, annotations: { ...image.annotations } },
    pinned: isPinned(image, pinned),
  };
}

export function isPinned(image: StoredImage, pinned: PinnedImages): boolean {
  return [...image.names.keys()].some((name) => pinned.has(name));
}

/** CRI: uid is set when the image names a numeric user, username when it names one; the group is left out. */
export function imageUser(user: string): Pick<Image, 'uid' | 'username'> {
  const name = user.split(':', 1)[0] ?? '';
  if (name === '') return { uid: null, username: '' };
  // Beyond 32 bits it would wrap around to another user, root at worst (CVE-2024-40635).
  if (/^[0-9]+$/.test(name) && BigInt(name) <= 0xffff_ffffn) return { uid: { value: String(BigInt(name)) }, username: '' };
  return { uid: null, username: name };
}
