/* The frame codec against the golden frames that the TypeScript side is tested against as well. */
#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "../common/frame.h"
#include "../common/protocol.h"
#include "check.h"

#define FRAME_ROOM 8192

static size_t from_hex(const char *hex, uint8_t *out)
{
	size_t length = strlen(hex) / 2;

	check("a fixture fits", length <= FRAME_ROOM);
	for (size_t i = 0; i < length; i++) {
		unsigned int byte;
		check("a fixture is hex", sscanf(hex + 2 * i, "%2x", &byte) == 1);
		out[i] = (uint8_t)byte;
	}
	return length;
}

static const char *text_of(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

static void test_golden(const json_t *golden)
{
	uint8_t expected[FRAME_ROOM], payload[FRAME_ROOM], made[FRAME_ROOM + FRAME_HEADER_SIZE];
	uint32_t id = (uint32_t)json_integer_value(json_object_get(golden, "requestId"));
	uint8_t type = (uint8_t)json_integer_value(json_object_get(golden, "type"));
	size_t size = from_hex(text_of(golden, "hex"), expected), length;
	struct frame frame;

	if (text_of(golden, "payload") != NULL) {
		length = strlen(text_of(golden, "payload"));
		memcpy(payload, text_of(golden, "payload"), length);
	} else {
		length = from_hex(text_of(golden, "dataHex"), payload);
	}
	frame_header(made, (uint32_t)length, id, type);
	memcpy(made + FRAME_HEADER_SIZE, payload, length);
	check(text_of(golden, "name"), size == FRAME_HEADER_SIZE + length && memcmp(made, expected, size) == 0);
	check("it decodes", frame_decode(expected, size, &frame) == (int)size);
	check("to the same", frame.id == id && frame.type == type && frame.length == length &&
				     memcmp(frame.payload, payload, length) == 0);
	check("data or control", frame_is_data(type) == (text_of(golden, "payload") == NULL));
	for (size_t cut = 0; cut < size; cut++)
		if (frame_decode(expected, cut, &frame) != 0)
			check("a part of a frame is no frame", false);
}

static void test_refused(const json_t *refused)
{
	const char *problem = text_of(refused, "problem");
	uint8_t bytes[FRAME_ROOM];
	size_t size = from_hex(text_of(refused, "hex"), bytes);
	struct frame frame;
	int expected = strcmp(problem, "too-long") == 0 ? -EMSGSIZE : strcmp(problem, "incomplete") == 0 ? 0 : -EBADMSG;

	check(text_of(refused, "why"), frame_decode(bytes, size, &frame) == expected);
}

static void test_types(const json_t *types)
{
	const struct { const char *name; int value; } mine[] = {
		{ "HELLO", MESSAGE_HELLO }, { "OK", MESSAGE_OK }, { "ERROR", MESSAGE_ERROR }, { "EVENT", MESSAGE_EVENT },
		{ "SANDBOX_CREATE", MESSAGE_SANDBOX_CREATE }, { "SANDBOX_DELETE", MESSAGE_SANDBOX_DELETE },
		{ "CONTAINER_CREATE", MESSAGE_CONTAINER_CREATE }, { "FORWARD", MESSAGE_FORWARD },
		{ "HOLD", MESSAGE_HOLD }, { "PROBE", MESSAGE_PROBE }, { "SUBSCRIBE", MESSAGE_SUBSCRIBE },
		{ "START", MESSAGE_START }, { "KILL", MESSAGE_KILL }, { "REOPEN_LOG", MESSAGE_REOPEN_LOG },
		{ "EXEC", MESSAGE_EXEC }, { "ATTACH", MESSAGE_ATTACH }, { "RESIZE", MESSAGE_RESIZE },
		{ "STDOUT", MESSAGE_STDOUT }, { "STDERR", MESSAGE_STDERR }, { "STDIN", MESSAGE_STDIN },
		{ "EXIT", MESSAGE_EXIT },
	};

	check("the catalogue is as long", json_object_size(types) == sizeof(mine) / sizeof(mine[0]));
	for (size_t i = 0; i < sizeof(mine) / sizeof(mine[0]); i++)
		check(mine[i].name, json_integer_value(json_object_get(types, mine[i].name)) == mine[i].value);
}

int main(void)
{
	const char *directory = getenv("BERTH_FIXTURES");
	char path[4096];
	json_error_t problem;
	json_t *fixtures, *entry;
	size_t index;

	snprintf(path, sizeof(path), "%s/protocol.json", directory == NULL ? "tests/fixtures" : directory);
	fixtures = json_load_file(path, 0, &problem);
	check("the fixtures parse", fixtures != NULL);
	test_types(json_object_get(fixtures, "types"));
	json_array_foreach(json_object_get(fixtures, "frames"), index, entry)
		test_golden(entry);
	json_array_foreach(json_object_get(fixtures, "refused"), index, entry)
		test_refused(entry);
	json_decref(fixtures);
	return 0;
}
