#include "fuzz_tar.h"

#include <stdio.h>
#include <string.h>

#include "fuzz_guide.h"

#define BLOCK 512

static void every_kind(struct bytes *tar)
{
	tar_add(tar, &(struct header){ .name = "./", .type = '5', .mode = 0755 });
	tar_add(tar, DIR_ENTRY("usr"));
	tar_add(tar, FILE_ENTRY("usr/file", "some content of a file"));
	tar_add(tar, LINK_ENTRY("lib", '2', "usr/lib"));
	tar_add(tar, FILE_ENTRY("lib/through", "x"));
	tar_add(tar, LINK_ENTRY("absolute", '2', "/usr"));
	tar_add(tar, FILE_ENTRY("absolute/below", "x"));
	tar_add(tar, LINK_ENTRY("hard", '1', "usr/file"));
	tar_pax(tar, "mtime", "1234.5", 0);
	tar_add(tar, &(struct header){ .name = "suid", .type = '0', .mode = 04755, .uid = 1000, .content = "x" });
	tar_add(tar, FILE_ENTRY("deep/er/and/deep/er/file", "x"));
	tar_add(tar, FILE_ENTRY("deep/.wh.gone", ""));
	tar_add(tar, FILE_ENTRY("deep/.wh..wh..opq", ""));
	tar_add(tar, &(struct header){ .name = "device", .type = '3', .mode = 0666 });
	tar_add(tar, &(struct header){ .name = "fifo", .type = '6', .mode = 0600 });
	tar_add(tar, FILE_ENTRY("usr", "a file in the place of a directory"));
}

static void attributes(struct bytes *tar)
{
	tar_pax(tar, "SCHILY.xattr.user.key", "value", 0);
	tar_add(tar, DIR_ENTRY("attributes"));
	tar_pax(tar, "LIBARCHIVE.xattr.user.%6bey", "dmFsdWU", 0);
	tar_add(tar, FILE_ENTRY("attributes/more", "x"));
	tar_pax(tar, "SCHILY.acl.access", "user::rwx,user:1000:r--,group::r--,mask::r--,other::---", 0);
	tar_add(tar, FILE_ENTRY("acl", "x"));
	tar_pax(tar, "SCHILY.acl.default", "user::rwx,group::r-x,group:staff:rwx:50,mask::rwx,other::---", 0);
	tar_add(tar, DIR_ENTRY("inherits"));
	tar_add(tar, FILE_ENTRY("inherits/not", "x"));
}

static void sparse(struct bytes *tar)
{
	tar_pax(tar, "GNU.sparse.major", "1", 0);
	tar_pax(tar, "GNU.sparse.minor", "0", 0);
	tar_pax(tar, "GNU.sparse.realsize", "9000", 0);
	tar_add(tar, FILE_ENTRY("sparse", "1\n0\n5\n"));
	tar_pax(tar, "GNU.sparse.map", "0,1,10,2", 0);
	tar_add(tar, FILE_ENTRY("sparse-0.1", "abc"));
	tar_pax(tar, "GNU.sparse.offset", "512", 0);
	tar_pax(tar, "GNU.sparse.numbytes", "3", 0);
	tar_add(tar, FILE_ENTRY("sparse-0.0", "abc"));
	tar_add(tar, &(struct header){ .name = "sparse-old", .type = 'S', .mode = 0644, .content = "abc" });
}

static void long_names(struct bytes *tar)
{
	tar_add(tar, &(struct header){ .name = "././@LongLink", .type = 'L', .content = "a-name-that-is-told-by-an-entry-of-its-own" });
	tar_add(tar, FILE_ENTRY("short", "x"));
	tar_add(tar, &(struct header){ .name = "././@LongLink", .type = 'K', .content = "a-target-that-is-told-so" });
	tar_add(tar, LINK_ENTRY("short-link", '2', "t"));
	tar_pax(tar, "path", "a/name/in/a/pax/header", 0);
	tar_add(tar, FILE_ENTRY("p", "x"));
	tar_pax(tar, "linkpath", "short", 0);
	tar_add(tar, LINK_ENTRY("hard", '1', "t"));
	tar_add(tar, &(struct header){ .name = "pax_global_header", .type = 'g', .content = "20 comment=whatever\n" });
	tar_add(tar, FILE_ENTRY("last", "x"));
}

bool fuzz_tar_seed(unsigned int number, struct bytes *tar)
{
	static void (*const parts[])(struct bytes *) = { every_kind, attributes, sparse, long_names };
	const unsigned int count = sizeof(parts) / sizeof(parts[0]);

	if (number > count)
		return false;
	for (unsigned int i = 0; i < count; i++)
		if (number == count || number == i)
			parts[i](tar);
	tar_end(tar);
	return true;
}

static bool is_header(const uint8_t *block)
{
	return memcmp(block + 257, "ustar", 5) == 0;
}

void fuzz_tar_mend(struct bytes *tar)
{
	for (size_t at = 0; at + BLOCK <= tar->length; at += BLOCK) {
		uint8_t *block = tar->data + at;
		unsigned int sum = 0;

		if (!is_header(block))
			continue;
		memset(block + 148, ' ', 8);
		for (int i = 0; i < BLOCK; i++)
			sum += block[i];
		snprintf((char *)block + 148, 8, "%06o", sum & 0777777);
	}
}

/* Some header of the tar, or NULL after a few tries. */
static uint8_t *some_header(const struct bytes *tar, size_t *at)
{
	for (int tries = 0; tries < 20 && tar->length >= BLOCK; tries++) {
		*at = (size_t)fuzz_number((uint32_t)(tar->length / BLOCK)) * BLOCK;
		if (is_header(tar->data + *at))
			return tar->data + *at;
	}
	return NULL;
}

static const char *const names[] = {
	"", "/", ".", "..", "./", "../x", "a/../b", "/etc/passwd", "usr", "usr/file", "lib", "lib/x", "absolute/x", "deep", "hard",
	".wh.", ".wh..", ".wh...", ".wh.usr", ".wh.deep", ".wh..wh..opq", "usr/.wh..wh..opq", ".wh..wh.plnk", "lib/.wh.file", "device/x", "acl/..",
	"lib/lib/lib", "//usr//file", "a\nb", "\xff\xfe", "inherits", "short",
};

/* As long as the longest field. */
static const char numbers[][13] = {
	"", "0", "1", "777", "7777777", "77777777777", "-1", "99999999999", "20000000000", " 644", "\x80\0\0\0\0\0\0\0\0\0\0\1",
	"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "\x80\x7f\xff\xff\xff\xff\xff\xff", "1000", "400",
};

static void change_field(uint8_t *header)
{
	static const struct {
		unsigned int at, size;
	} fields[] = { { 100, 8 }, { 108, 8 }, { 116, 8 }, { 124, 12 }, { 124, 12 }, { 136, 12 }, { 329, 8 }, { 337, 8 } };
	static const char types[] = "01234567gxLKSDMNVX\0AZ";
	uint32_t field = fuzz_number(sizeof(fields) / sizeof(fields[0]) + 4);

	if (field < sizeof(fields) / sizeof(fields[0])) {
		memcpy(header + fields[field].at, numbers[fuzz_number(sizeof(numbers) / sizeof(numbers[0]))], fields[field].size);
	} else if (field == sizeof(fields) / sizeof(fields[0])) {
		header[156] = (uint8_t)types[fuzz_number(sizeof(types) - 1)];
	} else {
		unsigned int at = field % 2 == 0 ? 0 : 157;
		memset(header + at, 0, 100);
		strcpy((char *)header + at, names[fuzz_number(sizeof(names) / sizeof(names[0]))]);
	}
}

static void add_pax(struct bytes *tar, size_t at)
{
	static const char *const keys[] = {
		"path", "linkpath", "size", "uid", "gid", "mtime", "atime", "GNU.sparse.size", "GNU.sparse.realsize", "GNU.sparse.numblocks",
		"GNU.sparse.offset", "GNU.sparse.numbytes", "GNU.sparse.map", "GNU.sparse.major", "GNU.sparse.minor", "GNU.sparse.name",
		"SCHILY.xattr.user.a", "SCHILY.xattr.security.capability", "SCHILY.xattr.system.posix_acl_access", "SCHILY.xattr.trusted.overlay.opaque",
		"LIBARCHIVE.xattr.user.b", "SCHILY.acl.access", "SCHILY.acl.default", "SCHILY.acl.ace", "SCHILY.dev", "SCHILY.nlink", "hdrcharset", "RHT.security.selinux",
		"LIBARCHIVE.symlinktype", "SCHILY.fflags", "SUN.holesdata",
	};
	static const char *const values[] = {
		"0", "1", "-1", "5", "512", "4294967295", "4294967296", "9223372036854775807", "18446744073709551616", "1.5", "-0.5", "1e9",
		"0,5,1024,7", "5,0,5,0", "0,99999999999999", "u::rwx,g::r,o::-", "user:5:rwx:5,group:x:r", "usr/file", "../x", "a/../../x", "BINARY", "=", "text",
	};
	struct bytes record = { 0 };
	bool name = fuzz_number(4) == 0;

	tar_pax(&record, keys[fuzz_number(sizeof(keys) / sizeof(keys[0]))],
		name ? names[1 + fuzz_number(sizeof(names) / sizeof(names[0]) - 1)] : values[fuzz_number(sizeof(values) / sizeof(values[0]))], 0);
	fuzz_insert(tar, at, record.data, record.length);
	bytes_free(&record);
}

void fuzz_tar_change(struct bytes *tar)
{
	size_t at = 0;
	uint8_t *header = some_header(tar, &at);
	size_t blocks = 1 + fuzz_number(4);

	if (header == NULL) {
		fuzz_change_bytes(tar);
		return;
	}
	if (at + blocks * BLOCK > tar->length)
		blocks = 1;
	switch (fuzz_number(6)) {
	case 0:
		add_pax(tar, at);
		break;
	case 1: /* an entry, or parts of some, once more */
		fuzz_insert(tar, (size_t)fuzz_number((uint32_t)(tar->length / BLOCK)) * BLOCK, header, blocks * BLOCK);
		break;
	case 2:
		fuzz_remove(tar, at, blocks * BLOCK);
		break;
	default:
		change_field(header);
	}
}
