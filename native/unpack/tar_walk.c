#include "tar_walk.h"

#include <string.h>

/* Offsets in the header block (POSIX, pax(1), "ustar Interchange Format"). */
#define SIZE_AT 124
#define SIZE_LENGTH 12
#define CHECKSUM_AT 148
#define CHECKSUM_LENGTH 8
#define TYPE_AT 156

static bool parse_octal(const uint8_t *text, size_t length, uint64_t *out)
{
	uint64_t value = 0;
	size_t at = 0;

	while (at < length && text[at] == ' ')
		at++;
	for (; at < length && text[at] >= '0' && text[at] <= '7'; at++)
		value = value * 8 + (uint64_t)(text[at] - '0');
	*out = value;
	return at == length || text[at] == ' ' || text[at] == '\0';
}

/* GNU's form for sizes beyond 8 GiB: the first bit set, then a big-endian number. */
static bool parse_size(const uint8_t *field, uint64_t *out)
{
	uint64_t value = 0;

	if ((field[0] & 0x80) == 0)
		return parse_octal(field, SIZE_LENGTH, out);
	for (size_t i = 1; i < SIZE_LENGTH; i++) {
		if (value >> 55 != 0)
			return false;
		value = value << 8 | field[i];
	}
	*out = value;
	return field[0] == 0x80;
}

static bool checksum_is_right(const uint8_t *header)
{
	uint64_t wanted;
	uint64_t sum = 0;

	for (size_t i = 0; i < TAR_BLOCK; i++)
		sum += i >= CHECKSUM_AT && i < CHECKSUM_AT + CHECKSUM_LENGTH ? ' ' : header[i];
	return parse_octal(header + CHECKSUM_AT, CHECKSUM_LENGTH, &wanted) && wanted == sum;
}

static void start_body(struct tar_walk *walk, enum tar_state state, uint64_t size)
{
	walk->state = size == 0 ? TAR_HEADER : state;
	walk->filled = 0;
	walk->left = size;
	walk->padding = (unsigned int)((TAR_BLOCK - size % TAR_BLOCK) % TAR_BLOCK);
}

/* The header that is complete in `walk->header` decides what comes behind it. */
static void read_header(struct tar_walk *walk)
{
	static const uint8_t nothing[TAR_BLOCK];
	uint64_t size;

	if (memcmp(walk->header, nothing, TAR_BLOCK) == 0) {
		walk->state = ++walk->zeros == 2 ? TAR_REST : TAR_HEADER;
		walk->filled = 0;
		return;
	}
	walk->zeros = 0;
	if (!checksum_is_right(walk->header) || !parse_size(walk->header + SIZE_AT, &size)) {
		walk->state = TAR_REST;
		return;
	}
	char type = (char)walk->header[TYPE_AT];
	if (type == 'x') {
		start_body(walk, size > TAR_PAX_SIZE ? TAR_OTHER : TAR_PAX, size);
		walk->sparse |= size > TAR_PAX_SIZE;
		return;
	}
	/* These stand between an entry's PAX header and the entry. */
	if (type == 'g' || type == 'L' || type == 'K') {
		start_body(walk, TAR_OTHER, size);
		return;
	}
	if (walk->has_size)
		size = walk->size;
	bool file = type == '0' || type == '\0' || type == '7';
	/* Links, devices, directories and fifos have no body, whatever their size field says. */
	if (type >= '1' && type <= '6')
		size = 0;
	start_body(walk, file && !walk->sparse ? TAR_CONTENT : TAR_OTHER, size);
	/* An old GNU sparse file may have more headers before its body. */
	if (type == 'S')
		walk->state = TAR_REST;
	walk->has_size = false;
	walk->sparse = false;
}

/* Records of the form "LENGTH KEY=VALUE\n". A record that is not in order is left to whoever unpacks. */
static void read_pax(struct tar_walk *walk)
{
	const uint8_t *at = walk->pax;
	const uint8_t *end = walk->pax + walk->filled;

	while (at < end) {
		const uint8_t *space = memchr(at, ' ', (size_t)(end - at));
		uint64_t length = 0;
		for (const uint8_t *digit = at; space != NULL && digit < space && length <= TAR_PAX_SIZE; digit++)
			length = length * 10 + (uint64_t)(*digit - '0');
		if (space == NULL || length > (uint64_t)(end - at) || at + length <= space + 1)
			return;
		const uint8_t *key = space + 1;
		size_t rest = (size_t)(at + length - key);
		if (rest > 5 && memcmp(key, "size=", 5) == 0) {
			walk->has_size = true;
			walk->size = 0;
			for (size_t i = 5; i < rest && key[i] >= '0' && key[i] <= '9'; i++)
				walk->size = walk->size * 10 + (uint64_t)(key[i] - '0');
		}
		if (rest > 10 && memcmp(key, "GNU.sparse", 10) == 0)
			walk->sparse = true;
		at += length;
	}
}

static size_t fill(uint8_t *to, size_t *filled, size_t wanted, const uint8_t *data, size_t length)
{
	size_t taken = length < wanted - *filled ? length : wanted - *filled;

	memcpy(to + *filled, data, taken);
	*filled += taken;
	return taken;
}

static size_t pass_body(struct tar_walk *walk, const uint8_t *data, size_t length, struct tar_span *span)
{
	size_t taken = length < walk->left ? length : (size_t)walk->left;

	if (walk->state == TAR_PAX)
		(void)fill(walk->pax, &walk->filled, TAR_PAX_SIZE, data, taken);
	if (walk->state == TAR_CONTENT) {
		span->content = true;
		span->begins = walk->filled == 0;
		span->size = walk->left;
		walk->filled = 1;
	}
	walk->left -= taken;
	if (walk->left > 0)
		return taken;
	if (walk->state == TAR_PAX)
		read_pax(walk);
	start_body(walk, TAR_OTHER, walk->padding);
	walk->padding = 0;
	return taken;
}

void tar_walk(struct tar_walk *walk, const uint8_t *data, size_t length, struct tar_span *span)
{
	*span = (struct tar_span){ .length = length };
	if (walk->state == TAR_REST)
		return;
	if (walk->state != TAR_HEADER) {
		span->length = pass_body(walk, data, length, span);
		return;
	}
	span->length = fill(walk->header, &walk->filled, TAR_BLOCK, data, length);
	if (walk->filled == TAR_BLOCK)
		read_header(walk);
}
