/*
 * The device rules of a bundle (linux.resources.devices), in order. Each letter of access is decided by the
 * last rule that names the device and the letter; what no rule names is denied.
 */
#ifndef BERTH_SHIM_DEVICE_RULES_H
#define BERTH_SHIM_DEVICE_RULES_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DEVICE_ACCESS_ALL ((uint32_t)(BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE))
#define DEVICE_ANY (-1)

struct device_rule {
	bool allow;
	uint32_t type; /* BPF_DEVCG_DEV_CHAR or _BLOCK; 0: both */
	int64_t major; /* DEVICE_ANY: every one */
	int64_t minor;
	uint32_t access; /* BPF_DEVCG_ACC_* */
};

/* How many rules device_rules_complete adds. */
#define DEVICE_RULES_STANDARD 11

/*
 * Puts the rules that every container starts from (its standard devices, and making nodes, which grants
 * nothing by itself) behind the last rule for all devices, so that what the bundle says of one device stays
 * the last word. `rules` has room for DEVICE_RULES_STANDARD more; returns how many there are now.
 */
size_t device_rules_complete(struct device_rule *rules, size_t count);

/* Drops the rules that decide nothing, without a change to any verdict; returns how many are left. */
size_t device_rules_reduce(struct device_rule *rules, size_t count);

/* Whether reduced rules deny anything at all. */
bool device_rules_restrict(const struct device_rule *rules, size_t count);

#endif
