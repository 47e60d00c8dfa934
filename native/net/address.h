/* IPv4 and IPv6 addresses alike. */
#ifndef BERTH_NET_ADDRESS_H
#define BERTH_NET_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct address {
	int family; /* AF_INET or AF_INET6 */
	uint8_t bytes[16];
};

bool address_parse(const char *text, struct address *address);
/* "10.88.0.0/16". */
bool address_parse_prefix(const char *text, struct address *address, unsigned int *prefix);
const char *address_text(const struct address *address, char text[INET6_ADDRSTRLEN]);

size_t address_size(int family);
unsigned int address_bits(int family);
/* As a number; both directions. */
unsigned __int128 address_number(const struct address *address);
struct address address_from_number(int family, unsigned __int128 number);
/* The mask of a prefix, as a number. */
unsigned __int128 address_mask(int family, unsigned int prefix);
bool address_is_any(const struct address *address);

#endif
