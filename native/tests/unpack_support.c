#include "unpack_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures;

bool unpack_check(bool condition, const char *file, int line, const char *text)
{
	if (condition) {
		printf("ok: %s\n", text);
	} else {
		fprintf(stderr, "%s:%d: not true: %s\n", file, line, text);
		failures++;
	}
	return condition;
}

int unpack_finish(void)
{
	if (failures > 0)
		fprintf(stderr, "%d checks failed\n", failures);
	return failures == 0 ? 0 : 1;
}

void bytes_add(struct bytes *bytes, const void *data, size_t length)
{
	if (bytes->length + length > bytes->room) {
		bytes->room = (bytes->length + length) * 2;
		bytes->data = realloc(bytes->data, bytes->room);
		if (bytes->data == NULL)
			abort();
	}
	if (length > 0)
		memcpy(bytes->data + bytes->length, data, length);
	bytes->length += length;
}

void bytes_free(struct bytes *bytes)
{
	free(bytes->data);
	*bytes = (struct bytes){ 0 };
}

static void add_padded(struct bytes *tar, const void *data, size_t length)
{
	static const uint8_t zeros[512];
	bytes_add(tar, data, length);
	bytes_add(tar, zeros, (512 - length % 512) % 512);
}

static void octal(char *to, size_t width, unsigned long value)
{
	char text[32];
	snprintf(text, sizeof(text), "%0*lo", (int)width - 1, value);
	memcpy(to, text, width - 1);
}

/* The ustar header block: offsets as in POSIX.1-2017, pax. */
static void add_block(struct bytes *tar, const struct header *header, size_t size)
{
	char block[512] = { 0 };
	unsigned int sum = 0;

	memcpy(block, header->name, strnlen(header->name, 100));
	octal(block + 100, 8, header->mode);
	octal(block + 108, 8, header->uid & 07777777);
	octal(block + 116, 8, header->gid & 07777777);
	octal(block + 124, 12, size);
	octal(block + 136, 12, header->mtime);
	memset(block + 148, ' ', 8);
	block[156] = header->type;
	if (header->link != NULL)
		memcpy(block + 157, header->link, strnlen(header->link, 100));
	memcpy(block + 257, "ustar\0" "00", 8);
	octal(block + 329, 8, header->major);
	octal(block + 337, 8, header->minor);
	for (int i = 0; i < 512; i++)
		sum += (unsigned char)block[i];
	octal(block + 148, 7, sum);
	bytes_add(tar, block, sizeof(block));
}

void tar_add(struct bytes *tar, const struct header *header)
{
	size_t size = header->content == NULL ? 0 : strlen(header->content);
	add_block(tar, header, size);
	add_padded(tar, header->content, size);
}

void tar_pax(struct bytes *tar, const char *key, const void *value, size_t length)
{
	struct bytes record = { 0 };
	char number[16];
	size_t digits = 1;

	if (length == 0)
		length = strlen(value);
	/* The length counts its own digits. */
	while ((size_t)snprintf(number, sizeof(number), "%zu", digits + strlen(key) + length + 3) != digits)
		digits++;
	bytes_add(&record, number, digits);
	bytes_add(&record, " ", 1);
	bytes_add(&record, key, strlen(key));
	bytes_add(&record, "=", 1);
	bytes_add(&record, value, length);
	bytes_add(&record, "\n", 1);
	add_block(tar, &(struct header){ .name = "pax", .type = 'x', .mode = 0644 }, record.length);
	add_padded(tar, record.data, record.length);
	bytes_free(&record);
}

void tar_end(struct bytes *tar)
{
	static const uint8_t zeros[1024];
	bytes_add(tar, zeros, sizeof(zeros));
}

static void add_little(struct bytes *out, uint32_t value, int size)
{
	for (int i = 0; i < size; i++) {
		uint8_t byte = (uint8_t)(value >> (8 * i));
		bytes_add(out, &byte, 1);
	}
}

static uint32_t crc32_of(const uint8_t *data, size_t length)
{
	uint32_t crc = 0xffffffff;
	for (size_t i = 0; i < length; i++) {
		crc ^= data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ ((crc & 1) != 0 ? 0xedb88320 : 0);
	}
	return ~crc;
}

/* RFC 1952 around stored blocks of RFC 1951. */
void gzip_member(struct bytes *out, const void *data, size_t length)
{
	size_t done = 0;

	bytes_add(out, "\x1f\x8b\x08\0\0\0\0\0\0\xff", 10);
	do {
		size_t part = length - done < 65535 ? length - done : 65535;
		uint8_t last = done + part == length;
		bytes_add(out, &last, 1);
		add_little(out, (uint32_t)part, 2);
		add_little(out, (uint32_t)~part, 2);
		bytes_add(out, (const uint8_t *)data + done, part);
		done += part;
	} while (done < length);
	add_little(out, crc32_of(data, length), 4);
	add_little(out, (uint32_t)length, 4);
}

/* RFC 8878: a frame without content size, with a window of 128 KiB (exponent 7). */
static void zstd_header(struct bytes *out)
{
	bytes_add(out, "\x28\xb5\x2f\xfd\x00\x38", 6);
}

void zstd_frame(struct bytes *out, const void *data, size_t length)
{
	size_t done = 0;

	zstd_header(out);
	do {
		size_t part = length - done < 131072 ? length - done : 131072;
		add_little(out, (uint32_t)(part << 3 | (done + part == length)), 3);
		bytes_add(out, (const uint8_t *)data + done, part);
		done += part;
	} while (done < length);
}

void zstd_bomb(struct bytes *out, size_t blocks)
{
	zstd_header(out);
	for (size_t i = 0; i < blocks; i++) {
		add_little(out, (uint32_t)(131072 << 3 | 1 << 1 | (i + 1 == blocks)), 3);
		bytes_add(out, "", 1);
	}
}
