/* The words of a profile and what they mean to the library. */
#include <string.h>

#include "compile.h"

/* The kernel returns no larger one to a program (MAX_ERRNO). */
#define ERRNO_LARGEST 4095
/* What "operation not permitted" is everywhere, and the default of the OCI runtime spec. */
#define ERRNO_DEFAULT 1

static int with_errno(const struct fields *fields, const char *key, const char *errno_key, bool takes_errno, long long *out,
		      struct error *err)
{
	long long given = -1;
	int ret = field_integer(fields, errno_key, 0, ERRNO_LARGEST, &given, err);

	if (ret < 0)
		return ret;
	/* OCI runtime spec: "When the action doesn't support an errno, the runtime MUST print and error and fail." */
	if (given >= 0 && !takes_errno)
		return field_error(fields, errno_key, err, "the action in %s returns no error number", key);
	*out = given >= 0 ? given : ERRNO_DEFAULT;
	return 0;
}

int action_code(const struct fields *fields, const char *key, const char *errno_key, uint32_t *out, struct error *err)
{
	static const struct {
		const char *name;
		uint32_t code;
		bool takes_errno;
	} actions[] = {
		{ "SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD, false },
		{ "SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD, false },
		{ "SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS, false },
		{ "SCMP_ACT_TRAP", SCMP_ACT_TRAP, false },
		{ "SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(0), true },
		{ "SCMP_ACT_TRACE", SCMP_ACT_TRACE(0), true },
		{ "SCMP_ACT_LOG", SCMP_ACT_LOG, false },
		{ "SCMP_ACT_ALLOW", SCMP_ACT_ALLOW, false },
	};
	const char *name;
	long long number;
	int ret = field_string(fields, key, REQUIRED, &name, err);

	if (ret < 0)
		return ret;
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		if (strcmp(actions[i].name, name) != 0)
			continue;
		ret = with_errno(fields, key, errno_key, actions[i].takes_errno, &number, err);
		if (ret == 0)
			*out = actions[i].takes_errno ? actions[i].code | (uint32_t)number : actions[i].code;
		return ret;
	}
	if (strcmp(name, "SCMP_ACT_NOTIFY") == 0)
		return field_error(fields, key, err, "SCMP_ACT_NOTIFY needs a listener, and Berth offers none");
	return field_error(fields, key, err, "\"%.64s\" is not an action", name);
}

int operator_code(const struct fields *fields, const char *key, enum scmp_compare *out, struct error *err)
{
	static const struct {
		const char *name;
		enum scmp_compare code;
	} operators[] = {
		{ "SCMP_CMP_NE", SCMP_CMP_NE }, { "SCMP_CMP_LT", SCMP_CMP_LT }, { "SCMP_CMP_LE", SCMP_CMP_LE },
		{ "SCMP_CMP_EQ", SCMP_CMP_EQ }, { "SCMP_CMP_GE", SCMP_CMP_GE }, { "SCMP_CMP_GT", SCMP_CMP_GT },
		{ "SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ },
	};
	const char *name;
	int ret = field_string(fields, key, REQUIRED, &name, err);

	if (ret < 0)
		return ret;
	for (size_t i = 0; i < sizeof(operators) / sizeof(operators[0]); i++)
		if (strcmp(operators[i].name, name) == 0) {
			*out = operators[i].code;
			return 0;
		}
	return field_error(fields, key, err, "\"%.64s\" is not a comparison", name);
}

/* The OCI's name without "SCMP_ARCH_", the name of Docker's profiles (which is Go's), the library's token. */
static const struct {
	const char *oci, *docker;
	uint32_t token;
} architectures[] = {
	{ "X86", "x86", SCMP_ARCH_X86 },
	{ "X86_64", "amd64", SCMP_ARCH_X86_64 },
	{ "X32", "x32", SCMP_ARCH_X32 },
	{ "ARM", "arm", SCMP_ARCH_ARM },
	{ "AARCH64", "arm64", SCMP_ARCH_AARCH64 },
	{ "MIPS", "mips", SCMP_ARCH_MIPS },
	{ "MIPS64", "mips64", SCMP_ARCH_MIPS64 },
	{ "MIPS64N32", "mips64n32", SCMP_ARCH_MIPS64N32 },
	{ "MIPSEL", "mipsel", SCMP_ARCH_MIPSEL },
	{ "MIPSEL64", "mipsel64", SCMP_ARCH_MIPSEL64 },
	{ "MIPSEL64N32", "mipsel64n32", SCMP_ARCH_MIPSEL64N32 },
	{ "PPC", "ppc", SCMP_ARCH_PPC },
	{ "PPC64", "ppc64", SCMP_ARCH_PPC64 },
	{ "PPC64LE", "ppc64le", SCMP_ARCH_PPC64LE },
	{ "S390", "s390", SCMP_ARCH_S390 },
	{ "S390X", "s390x", SCMP_ARCH_S390X },
	{ "PARISC", "parisc", SCMP_ARCH_PARISC },
	{ "PARISC64", "parisc64", SCMP_ARCH_PARISC64 },
	{ "RISCV64", "riscv64", SCMP_ARCH_RISCV64 },
};

bool architecture_token(const char *name, uint32_t *out)
{
	static const char prefix[] = "SCMP_ARCH_";

	if (strncmp(name, prefix, sizeof(prefix) - 1) != 0)
		return false;
	for (size_t i = 0; i < sizeof(architectures) / sizeof(architectures[0]); i++)
		if (strcmp(architectures[i].oci, name + sizeof(prefix) - 1) == 0) {
			*out = architectures[i].token;
			return true;
		}
	return false;
}

bool architecture_is_native(const char *name)
{
	for (size_t i = 0; i < sizeof(architectures) / sizeof(architectures[0]); i++)
		if (strcmp(architectures[i].docker, name) == 0)
			return architectures[i].token == seccomp_arch_native();
	return false;
}
