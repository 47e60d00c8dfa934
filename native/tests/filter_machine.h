/* Compiles a seccomp profile as the shim does and runs the filter as the kernel would, without loading it. */
#ifndef BERTH_TESTS_FILTER_MACHINE_H
#define BERTH_TESTS_FILTER_MACHINE_H

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stdint.h>

#include "../shim/seccomp.h"

#if defined(__x86_64__)
#define NATIVE_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "name this architecture's AUDIT_ARCH"
#endif

/* Makes the programs under test known to the parts of the shim in this process. */
void filter_begin(void);

/* NULL when the profile is refused; `err` then tells why. */
const struct seccomp_filter *filter_compile(const char *profile, uint64_t capabilities, struct error *err);
/* Of what was compiled last. */
void filter_forget(void);

/* What the kernel would do: a SECCOMP_RET_* with its data. `arguments` may be NULL for six zeros. */
uint32_t filter_run(const struct seccomp_filter *filter, uint32_t architecture, uint32_t number, const uint64_t *arguments);

#endif
