/** Pushes built images into a registry over the OCI distribution protocol. */

import type { Blob, BuiltImage, BuiltIndex } from './oci-image.ts';

export interface PushTarget {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  readonly authorization?: string;
}

/** Pushes under repository:tag and returns the digest of what the tag points to. */
export async function push(target: PushTarget, repository: string, tag: string, what: BuiltImage | BuiltIndex): Promise<string> {
  const images = 'images' in what ? what.images : [what];
  for (const image of images) {
    for (const layer of image.layers) await pushBlob(target, repository, layer);
    await pushBlob(target, repository, image.config);
    if ('images' in what) await putManifest(target, repository, image.manifest.digest, image.manifest);
  }
  await putManifest(target, repository, tag, what.manifest);
  return what.manifest.digest;
}

export async function pushBlob(target: PushTarget, repository: string, blob: Blob): Promise<void> {
  const head = await call(target, 'HEAD', `/v2/${repository}/blobs/${blob.digest}`);
  if (head.status === 200) return;
  const start = await call(target, 'POST', `/v2/${repository}/blobs/uploads/`);
  const location = start.headers.get('location');
  if (start.status !== 202 || location === null) throw new Error(`upload to ${repository} was not accepted: ${start.status}`);
  const url = new URL(location, target.url);
  url.searchParams.set('digest', blob.digest);
  const put = await call(target, 'PUT', `${url.pathname}${url.search}`, blob.bytes, 'application/octet-stream');
  if (put.status !== 201) throw new Error(`blob ${blob.digest} was not accepted: ${put.status} ${await put.text()}`);
}

async function putManifest(
  target: PushTarget,
  repository: string,
  reference: string,
  manifest: Blob & { readonly mediaType: string },
): Promise<void> {
  const put = await call(target, 'PUT', `/v2/${repository}/manifests/${reference}`, manifest.bytes, manifest.mediaType);
  if (put.status !== 201) throw new Error(`manifest ${repository}:${reference} was not accepted: ${put.status} ${await put.text()}`);
}

async function call(target: PushTarget, method: string, path: string, body?: Buffer, contentType?: string): Promise<Response> {
  const headers: Record<string, string> = {};
  if (target.authorization !== undefined) headers['authorization'] = target.authorization;
  if (contentType !== undefined) headers['content-type'] = contentType;
  return fetch(new URL(path, target.url), { method, headers, ...(body === undefined ? {} : { body: new Uint8Array(body) }) });
}
