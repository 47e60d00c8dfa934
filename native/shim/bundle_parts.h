/* The parts of the bundle's two files, one parser each; `top` is the file's top-level object. */
#ifndef BERTH_SHIM_BUNDLE_PARTS_H
#define BERTH_SHIM_BUNDLE_PARTS_H

#include "bundle.h"
#include "bundle_fields.h"

int bundle_read_process(struct bundle *bundle, const struct fields *top, struct error *err);
int bundle_read_mounts(struct bundle *bundle, const struct fields *top, struct error *err);
int bundle_read_linux(struct bundle *bundle, const struct fields *top, struct error *err);
/* Of `linux`; berth.json has been read. */
int bundle_read_resources(struct bundle *bundle, const struct fields *parent, struct error *err);
/* hooks, and what they are told; root has been read */
int bundle_read_hooks(struct bundle *bundle, const struct fields *top, struct error *err);
/* root, hostname and domainname */
int bundle_read_root(struct bundle *bundle, const struct fields *top, struct error *err);
/* berth.json */
int bundle_read_berth(struct bundle *bundle, const struct fields *top, struct error *err);

#endif
