#include "address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool address_parse(const char *text, struct address *address)
{
	*address = (struct address){ .family = strchr(text, ':') == NULL ? AF_INET : AF_INET6 };
	return inet_pton(address->family, text, address->bytes) == 1;
}

bool address_parse_prefix(const char *text, struct address *address, unsigned int *prefix)
{
	char copy[INET6_ADDRSTRLEN];
	char *end;
	const char *slash = strchr(text, '/');

	if (slash == NULL || slash[1] < '0' || slash[1] > '9' || (size_t)(slash - text) >= sizeof(copy))
		return false;
	snprintf(copy, sizeof(copy), "%.*s", (int)(slash - text), text);
	unsigned long bits = strtoul(slash + 1, &end, 10);
	if (*end != '\0' || !address_parse(copy, address) || bits > address_bits(address->family))
		return false;
	*prefix = (unsigned int)bits;
	return true;
}

const char *address_text(const struct address *address, char text[INET6_ADDRSTRLEN])
{
	return inet_ntop(address->family, address->bytes, text, INET6_ADDRSTRLEN);
}

size_t address_size(int family)
{
	return family == AF_INET ? 4 : 16;
}

unsigned int address_bits(int family)
{
	return family == AF_INET ? 32 : 128;
}

unsigned __int128 address_number(const struct address *address)
{
	unsigned __int128 number = 0;
	for (size_t i = 0; i < address_size(address->family); i++)
		number = number << 8 | address->bytes[i];
	return number;
}

struct address address_from_number(int family, unsigned __int128 number)
{
	struct address address = { .family = family };
	for (size_t i = address_size(family); i > 0; i--) {
		address.bytes[i - 1] = (uint8_t)number;
		number >>= 8;
	}
	return address;
}

unsigned __int128 address_mask(int family, unsigned int prefix)
{
	unsigned __int128 all = ~(unsigned __int128)0;
	unsigned int bits = address_bits(family);
	if (prefix == 0)
		return 0;
	unsigned __int128 mask = all << (bits - prefix);
	return family == AF_INET ? mask & 0xffffffffu : mask;
}

bool address_is_any(const struct address *address)
{
	return address_number(address) == 0;
}
