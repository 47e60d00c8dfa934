/* System calls that are newer than the oldest seccomp library that Berth is built with (2.5.4: Linux 5.17). */
#include <string.h>

#include "compile.h"

int newer_number(const char *name)
{
	/* Since Linux 5.1 one number for all architectures (arch/.../syscall.tbl). */
	static const struct {
		const char *name;
		int number;
	} calls[] = {
		{ "futex_waitv", 449 },	     { "set_mempolicy_home_node", 450 },
		{ "cachestat", 451 },	     { "fchmodat2", 452 },
		{ "map_shadow_stack", 453 }, { "futex_wake", 454 },
		{ "futex_wait", 455 },	     { "futex_requeue", 456 },
		{ "statmount", 457 },	     { "listmount", 458 },
		{ "lsm_get_self_attr", 459 }, { "lsm_set_self_attr", 460 },
		{ "lsm_list_modules", 461 }, { "mseal", 462 },
		{ "setxattrat", 463 },	     { "getxattrat", 464 },
		{ "listxattrat", 465 },	     { "removexattrat", 466 },
		{ "open_tree_attr", 467 },   { "file_getattr", 468 },
		{ "file_setattr", 469 },
	};

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (strcmp(calls[i].name, name) == 0)
			return calls[i].number;
	return -1;
}

int newer_on(uint32_t token, int number)
{
	switch (token) {
	case SCMP_ARCH_X32:
		return number | 0x40000000;
	/* MIPS numbers its three interfaces from 4000, 5000 and 6000. */
	case SCMP_ARCH_MIPS:
	case SCMP_ARCH_MIPSEL:
		return number + 4000;
	case SCMP_ARCH_MIPS64:
	case SCMP_ARCH_MIPSEL64:
		return number + 5000;
	case SCMP_ARCH_MIPS64N32:
	case SCMP_ARCH_MIPSEL64N32:
		return number + 6000;
	default:
		return number;
	}
}
