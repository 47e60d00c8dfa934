#include "layer.h"

#include <errno.h>
#include <malloc.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>

#include "content.h"
#include "entry.h"
#include "skeleton.h"

/* What libarchive's callback needs. It can only report "failed", so our own account of it is kept here. */
struct source {
	struct stream *stream;
	struct skeleton *skeleton;
	uint64_t max_memory;
	struct error failure;
};

/*
 * Some of the archive reader's lists are as long as an archive says (maps of sparse files). Asked with every
 * block, between which they cannot grow by much; when an allocation fails it may be too late for a report.
 */
static int check_memory(uint64_t limit, struct error *err)
{
	const struct mallinfo2 memory = mallinfo2();
	if ((uint64_t)memory.uordblks + memory.hblkhd <= limit)
		return 0;
	return error_set(err, EFBIG, "limit", "", "the layer needs too much memory to be read");
}

static la_ssize_t read_block(struct archive *archive, void *data, const void **block)
{
	struct source *source = data;
	ssize_t length = stream_next(source->stream, block, &source->failure);
	if (length > 0 && check_memory(source->max_memory, &source->failure) < 0)
		length = -1;
	if (length > 0 && skeleton_tar(source->skeleton, *block, (size_t)length, &source->failure) < 0)
		length = -1;
	if (length < 0)
		archive_set_error(archive, source->failure.code, "%s", source->failure.message);
	return length < 0 ? ARCHIVE_FATAL : length;
}

/*
 * Only the tar reader, and no filters: decompressors and formats that layers never use would be attack
 * surface and nothing else.
 */
static int open_archive(struct source *source, struct archive **out, struct error *err)
{
	struct archive *archive = archive_read_new();
	if (archive == NULL)
		return error_set(err, ENOMEM, "archive", "", "no memory for the archive reader");
	*out = archive;
	if (archive_read_support_format_tar(archive) != ARCHIVE_OK ||
	    archive_read_open(archive, source, NULL, read_block, NULL) != ARCHIVE_OK)
		return content_archive_error(archive, "", err);
	return 0;
}

/* A set-group-id bit or a default ACL that the caller's directory inherited would be passed on to every entry. */
static int prepare_root(int root_fd, struct error *err)
{
	if (fchown(root_fd, 0, 0) < 0 || fchmod(root_fd, 0755) < 0)
		return error_errno(err, "write", "", "cannot prepare the destination");
	if (fremovexattr(root_fd, "system.posix_acl_default") < 0 && errno != ENODATA && errno != EOPNOTSUPP)
		return error_errno(err, "write", "", "cannot prepare the destination");
	return 0;
}

static int check_entries(uint64_t entries, uint64_t inodes, uint64_t limit, struct error *err)
{
	if (entries <= limit && inodes <= limit)
		return 0;
	return error_set(err, EFBIG, "limit", "", "the layer has more than %llu entries (--max-entries)", (unsigned long long)limit);
}

static int check_path(const char *name, uint64_t limit, struct error *err)
{
	if (name == NULL || strlen(name) <= limit)
		return 0;
	return error_set(err, ENAMETOOLONG, "limit", name, "the name is longer than %llu bytes (--max-path)", (unsigned long long)limit);
}

static int unpack_entries(struct unpacking *unpacking, const struct layer_limits *limits, struct error *err)
{
	struct archive_entry *entry;
	uint64_t entries = 0;
	int result = 0;

	while (result == 0) {
		int status = archive_read_next_header(unpacking->archive, &entry);
		if (status == ARCHIVE_EOF)
			break;
		/* A warning is about a part of the header that cannot be shown in this locale, say. */
		if (status < ARCHIVE_WARN)
			return content_archive_error(unpacking->archive, "", err);
		result = check_entries(++entries, tree_inodes(unpacking->tree), limits->max_entries, err);
		if (result == 0)
			result = check_path(archive_entry_pathname(entry), limits->max_path, err);
		if (result == 0)
			result = entry_unpack(unpacking, entry, err);
	}
	return result == 0 ? directories_apply(unpacking->directories, unpacking->tree, err) : result;
}

static int unpack_all(struct source *source, int root_fd, const struct layer_limits *limits,
		      struct layer_result *result, struct error *err)
{
	struct unpacking unpacking = { .skeleton = source->skeleton };
	int status = tree_new(root_fd, &unpacking.tree, err);
	if (status == 0)
		status = directories_new(&unpacking.directories, err);
	if (status == 0)
		status = prepare_root(tree_root(unpacking.tree), err);
	if (status == 0)
		status = open_archive(source, &unpacking.archive, err);
	if (status == 0)
		status = unpack_entries(&unpacking, limits, err);
	if (status == 0)
		status = figures_of_tree(tree_root(unpacking.tree), &result->figures, err);
	/* Not before the archive is closed: its last block may still be in use. */
	if (unpacking.archive != NULL)
		archive_read_free(unpacking.archive);
	directories_free(unpacking.directories);
	tree_free(unpacking.tree);
	if (source->failure.step[0] == '\0')
		return status;
	*err = source->failure;
	return err->code > 0 ? -err->code : -EIO;
}

/* What comes behind the archive's end belongs to the tar, too. */
static int finish_skeleton(struct source *source, uint64_t *bytes, struct error *err)
{
	const void *block;
	ssize_t length = 1;
	int status = 0;

	while (source->skeleton != NULL && length > 0 && status == 0) {
		length = stream_next(source->stream, &block, err);
		if (length > 0)
			status = skeleton_tar(source->skeleton, block, (size_t)length, err);
	}
	if (length < 0)
		return (int)length;
	return status < 0 ? status : skeleton_finish(source->skeleton, bytes, err);
}

int layer_unpack(int input_fd, int root_fd, int skeleton_fd, const struct layer_limits *limits,
		 struct layer_result *result, struct error *err)
{
	struct source source = { .max_memory = limits->max_memory };
	int status = skeleton_fd < 0 ? 0 : skeleton_new(skeleton_fd, &source.skeleton, err);
	if (status == 0)
		status = stream_start(input_fd, limits->stream, &source.stream, err);
	if (status < 0) {
		skeleton_free(source.skeleton);
		close(root_fd);
		return status;
	}
	status = unpack_all(&source, root_fd, limits, result, err);
	if (status == 0)
		status = finish_skeleton(&source, &result->skeleton_bytes, err);
	skeleton_free(source.skeleton);
	return status < 0 ? status : stream_finish(source.stream, &result->totals, err);
}
