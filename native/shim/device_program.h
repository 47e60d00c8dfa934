/* Device rules as a program for the kernel (BPF_PROG_TYPE_CGROUP_DEVICE). */
#ifndef BERTH_SHIM_DEVICE_PROGRAM_H
#define BERTH_SHIM_DEVICE_PROGRAM_H

#include <linux/bpf.h>
#include <stddef.h>

#include "device_rules.h"

/* How many instructions a program for so many rules has at most. */
#define DEVICE_PROGRAM_SIZE(rules) (14 + 16 * (rules))

/* Translates reduced rules; `code` has room for DEVICE_PROGRAM_SIZE(count). Returns the program's length. */
size_t device_program_write(const struct device_rule *rules, size_t count, struct bpf_insn *code);

#endif
