#include "acl.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include <archive.h>
#include <archive_entry.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>

static int kernel_tag(int tag)
{
	switch (tag) {
	case ARCHIVE_ENTRY_ACL_USER_OBJ:
		return ACL_USER_OBJ;
	case ARCHIVE_ENTRY_ACL_USER:
		return ACL_USER;
	case ARCHIVE_ENTRY_ACL_GROUP_OBJ:
		return ACL_GROUP_OBJ;
	case ARCHIVE_ENTRY_ACL_GROUP:
		return ACL_GROUP;
	case ARCHIVE_ENTRY_ACL_MASK:
		return ACL_MASK;
	case ARCHIVE_ENTRY_ACL_OTHER:
		return ACL_OTHER;
	default:
		return -1;
	}
}

/* The kernel wants the tags in this order and the ids ascending (posix_acl_valid). */
static int compare(const void *left, const void *right)
{
	const struct posix_acl_xattr_entry *a = left;
	const struct posix_acl_xattr_entry *b = right;
	if (a->e_tag != b->e_tag)
		return le16toh(a->e_tag) < le16toh(b->e_tag) ? -1 : 1;
	if (a->e_id != b->e_id)
		return le32toh(a->e_id) < le32toh(b->e_id) ? -1 : 1;
	return 0;
}

static int convert(int permissions, int tag, int id, struct posix_acl_xattr_entry *to)
{
	int kernel = kernel_tag(tag);
	if (kernel < 0)
		return -EINVAL;
	bool named = kernel == ACL_USER || kernel == ACL_GROUP;
	/* Names mean nothing on this machine: an ACL has numbers or is refused. */
	if (named && id < 0)
		return -EINVAL;
	to->e_tag = htole16((uint16_t)kernel);
	to->e_perm = htole16((uint16_t)(permissions & 7));
	to->e_id = named ? htole32((uint32_t)id) : htole32((uint32_t)ACL_UNDEFINED_ID);
	return 0;
}

int acl_to_attribute(struct archive_entry *entry, int type, void **value, size_t *size, const char *path,
		     struct error *err)
{
	*value = NULL;
	*size = 0;
	int count = archive_entry_acl_reset(entry, type);
	/* Up to three access entries say no more than the mode. */
	if (count <= 0 || (type == ARCHIVE_ENTRY_ACL_TYPE_ACCESS && count <= 3))
		return 0;
	struct posix_acl_xattr_header *header = calloc(1, sizeof(*header) + (size_t)count * sizeof(struct posix_acl_xattr_entry));
	if (header == NULL)
		return error_set(err, ENOMEM, "write", path, "no memory for an ACL");
	header->a_version = htole32(POSIX_ACL_XATTR_VERSION);
	struct posix_acl_xattr_entry *entries = (struct posix_acl_xattr_entry *)(header + 1);

	int used = 0;
	int kind, permissions, tag, id;
	const char *name;
	while (used < count && archive_entry_acl_next(entry, type, &kind, &permissions, &tag, &id, &name) == ARCHIVE_OK) {
		if (convert(permissions, tag, id, &entries[used++]) < 0) {
			free(header);
			return error_set(err, EINVAL, "entry", path, "its ACL has an entry without a numeric id");
		}
	}
	qsort(entries, (size_t)used, sizeof(*entries), compare);
	*value = header;
	*size = sizeof(*header) + (size_t)used * sizeof(*entries);
	return 0;
}
