/* libFuzzer target: no input may make the frame decoder read beyond it or accept what the limits forbid. */
#include <stdint.h>
#include <stdlib.h>

#include "../common/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	while (size > 0) {
		struct frame frame;
		int taken = frame_decode(data, size, &frame);

		if (taken <= 0)
			return 0;
		if ((size_t)taken > size || frame.length > FRAME_PAYLOAD_MAX ||
		    (frame.length > 0 && frame.payload + frame.length > data + size))
			abort();
		data += taken;
		size -= (size_t)taken;
	}
	return 0;
}
