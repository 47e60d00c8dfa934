/* No input may make the frame decoder read beyond it, or accept what the limits forbid. See fuzz_guide.h. */
#include <stdlib.h>
#include <string.h>

#include "../common/frame.h"
#include "fuzz_guide.h"

/* From memory of exactly this size, so that the sanitizer sees a byte too far. */
static bool decode(const struct bytes *input)
{
	uint8_t *copy = malloc(input->length);
	const uint8_t *data = copy;
	size_t left = input->length;
	bool right = copy != NULL || left == 0;

	if (copy != NULL)
		memcpy(copy, input->data, left);
	while (right && left > 0) {
		struct frame frame;
		int taken = frame_decode(data, left, &frame);
		if (taken <= 0)
			break;
		right = (size_t)taken <= left && frame.length <= FRAME_PAYLOAD_MAX &&
			(frame.length == 0 || frame.payload + frame.length <= data + left);
		data += taken;
		left -= (size_t)taken;
	}
	free(copy);
	return right;
}

/* Three frames in a row, a text among them; and a header whose payload is still to come. */
static bool seed(unsigned int number, struct bytes *input)
{
	uint8_t header[FRAME_HEADER_SIZE];

	for (uint8_t type = 1; number < 2 && type < 4; type++) {
		frame_header(header, 2, type, type);
		bytes_add(input, header, sizeof(header));
		bytes_add(input, "{}", 2);
	}
	if (number == 1) {
		frame_header(header, FRAME_PAYLOAD_MAX, 7, 1);
		bytes_add(input, header, sizeof(header));
	}
	return number < 2;
}

int main(void)
{
	const struct fuzz_target target = { .name = "frame", .seed = seed, .run = decode, .together = 100000 };

	CHECK(fuzz(&target));
	return unpack_finish();
}
