/* POSIX ACLs from the archive to the kernel's form (include/uapi/linux/posix_acl_xattr.h). */
#ifndef BERTH_UNPACK_ACL_H
#define BERTH_UNPACK_ACL_H

#include <stddef.h>

#include "../common/error.h"

struct archive_entry;

/* `type` is one of libarchive's ACL types. `size` is 0 when there is none; `value` is the caller's to free. */
int acl_to_attribute(struct archive_entry *entry, int type, void **value, size_t *size, const char *path,
		     struct error *err);

#endif
