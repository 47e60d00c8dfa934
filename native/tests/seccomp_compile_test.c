/* What berth-seccomp makes of profiles, in the OCI's form and in Docker's. */
#include <errno.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "check.h"
#include "filter_machine.h"

#define ALLOW SECCOMP_RET_ALLOW
#define DENY (SECCOMP_RET_ERRNO | EPERM)
#define NO_SUCH_CALL (SECCOMP_RET_ERRNO | ENOSYS)
#define RULES(rules) "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[" rules "]}"
#define ALLOWED(more) "\"action\":\"SCMP_ACT_ALLOW\"" more "}"

static struct error err;

static const struct seccomp_filter *compile(const char *profile)
{
	const struct seccomp_filter *filter = filter_compile(profile, UINT64_C(1) << CAP_CHOWN, &err);

	if (filter == NULL) {
		printf("FAILED: refused: %s\n%s\n", err.message, profile);
		exit(1);
	}
	return filter;
}

static uint32_t native(const struct seccomp_filter *filter, long number, uint64_t first)
{
	const uint64_t arguments[6] = { first };

	return filter_run(filter, NATIVE_ARCHITECTURE, (uint32_t)number, arguments);
}

static void test_actions(void)
{
	static const struct {
		const char *name, *more;
		uint32_t result;
	} actions[] = {
		{ "SCMP_ACT_KILL", "", SECCOMP_RET_KILL_THREAD },
		{ "SCMP_ACT_KILL_THREAD", "", SECCOMP_RET_KILL_THREAD },
		{ "SCMP_ACT_KILL_PROCESS", "", SECCOMP_RET_KILL_PROCESS },
		{ "SCMP_ACT_TRAP", "", SECCOMP_RET_TRAP },
		{ "SCMP_ACT_ERRNO", "", SECCOMP_RET_ERRNO | EPERM },
		{ "SCMP_ACT_ERRNO", ",\"errnoRet\":0", SECCOMP_RET_ERRNO },
		{ "SCMP_ACT_ERRNO", ",\"errnoRet\":11", SECCOMP_RET_ERRNO | EAGAIN },
		{ "SCMP_ACT_TRACE", ",\"errnoRet\":7", SECCOMP_RET_TRACE | 7 },
		{ "SCMP_ACT_LOG", "", SECCOMP_RET_LOG },
	};
	char profile[512];

	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		const struct seccomp_filter *filter;

		snprintf(profile, sizeof(profile),
			 "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"getpid\"],\"action\":\"%s\"%s}]}",
			 actions[i].name, actions[i].more);
		filter = compile(profile);
		check(actions[i].name, native(filter, SYS_getpid, 0) == actions[i].result);
		check("and the rest is allowed", native(filter, SYS_getppid, 0) == ALLOW);
	}
}

static void test_comparisons(void)
{
	static const struct {
		const char *op, *values;
		uint64_t yes, no;
	} cases[] = {
		{ "SCMP_CMP_NE", "\"value\":5", 6, 5 },
		{ "SCMP_CMP_LT", "\"value\":5", 4, 5 },
		{ "SCMP_CMP_LE", "\"value\":5", 5, 6 },
		{ "SCMP_CMP_EQ", "\"value\":5,\"valueTwo\":9", 5, 9 },
		{ "SCMP_CMP_GE", "\"value\":5", 5, 4 },
		{ "SCMP_CMP_GT", "\"value\":5", 6, 5 },
		{ "SCMP_CMP_MASKED_EQ", "\"value\":2114060288,\"valueTwo\":0", 17, 0x10000011 },
		{ "SCMP_CMP_EQ", "\"value\":4294967296", 0x100000000, 0 },
		{ "SCMP_CMP_GT", "\"value\":4294967295", 0x100000000, 0xffffffff },
		{ "SCMP_CMP_EQ", "\"value\":18446744073709551615", UINT64_MAX, INT64_MAX },
		{ "SCMP_CMP_GE", "\"value\":9223372036854775808", UINT64_C(1) << 63, INT64_MAX },
	};
	char profile[512];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct seccomp_filter *filter;

		snprintf(profile, sizeof(profile), RULES("{\"names\":[\"personality\"],\"args\":[{\"index\":0,\"op\":\"%s\",%s}]," ALLOWED("")),
			 cases[i].op, cases[i].values);
		filter = compile(profile);
		check(cases[i].op, native(filter, SYS_personality, cases[i].yes) == ALLOW);
		check("and not", native(filter, SYS_personality, cases[i].no) == DENY);
	}
}

static void test_alternatives(void)
{
	const struct seccomp_filter *filter =
		compile(RULES("{\"names\":[\"socket\"],\"args\":[{\"index\":0,\"op\":\"SCMP_CMP_EQ\",\"value\":1},"
			      "{\"index\":1,\"op\":\"SCMP_CMP_EQ\",\"value\":2}]," ALLOWED("")));
	const uint64_t both[6] = { 1, 2 }, one[6] = { 1, 3 };

	check("conditions on several arguments must all hold", filter_run(filter, NATIVE_ARCHITECTURE, SYS_socket, both) == ALLOW);
	check("or there is no match", filter_run(filter, NATIVE_ARCHITECTURE, SYS_socket, one) == DENY);
	filter = compile(RULES("{\"names\":[\"socket\"],\"args\":[{\"index\":0,\"op\":\"SCMP_CMP_EQ\",\"value\":1},"
			       "{\"index\":0,\"op\":\"SCMP_CMP_EQ\",\"value\":10}]," ALLOWED("")));
	check("those on one argument are alternatives", native(filter, SYS_socket, 1) == ALLOW && native(filter, SYS_socket, 10) == ALLOW &&
							      native(filter, SYS_socket, 2) == DENY);
}

static void test_conditions(void)
{
	static const struct {
		const char *condition;
		bool counts;
	} cases[] = {
		{ "\"includes\":{\"caps\":[\"CAP_CHOWN\"]}", true },
		{ "\"includes\":{\"caps\":[\"CAP_CHOWN\",\"CAP_KILL\"]}", false },
		{ "\"excludes\":{\"caps\":[\"CAP_CHOWN\",\"CAP_KILL\"]}", false },
		{ "\"excludes\":{\"caps\":[\"CAP_KILL\"]}", true },
		{ "\"includes\":{\"minKernel\":\"4.8\"}", true },
		{ "\"includes\":{\"minKernel\":\"99.0\"}", false },
		{ "\"excludes\":{\"minKernel\":\"4.8\"}", false },
		{ "\"includes\":{\"arches\":[\"amd64\",\"arm64\",\"riscv64\"]}", true },
		{ "\"includes\":{\"arches\":[\"s390x\",\"no-such-machine\"]}", false },
		{ "\"excludes\":{\"arches\":[\"amd64\",\"arm64\",\"riscv64\"]}", false },
		{ "\"includes\":{},\"excludes\":{}", true },
		{ "\"includes\":null,\"excludes\":null", true },
	};
	char profile[512];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(profile, sizeof(profile), RULES("{\"names\":[\"getpid\",\"setns\"],%s," ALLOWED("") ",{\"name\":\"clone3\"," ALLOWED("")),
			 cases[i].condition);
		check(cases[i].condition, native(compile(profile), SYS_getpid, 0) == (cases[i].counts ? ALLOW : DENY));
	}
}

static void test_newer(void)
{
	const struct seccomp_filter *filter = compile(RULES("{\"names\":[\"read\",\"clone3\",\"no_such_call\"]," ALLOWED("")));

	check("what is older than the profile is not permitted", native(filter, SYS_getpid, 0) == DENY);
	check("what is newer does not exist", native(filter, SYS_clone3 + 1, 0) == NO_SUCH_CALL);
	filter = compile(RULES("{\"names\":[\"read\",\"mseal\"]," ALLOWED("")));
	check("a call newer than the library", native(filter, 462, 0) == ALLOW && native(filter, 461, 0) == DENY &&
						       native(filter, 463, 0) == NO_SUCH_CALL);
	filter = compile("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"file_setattr\"],\"action\":\"SCMP_ACT_ERRNO\"}]}");
	check("forbidden where all is allowed", native(filter, 469, 0) == DENY && native(filter, 470, 0) == ALLOW);
	filter = compile("{\"defaultAction\":\"SCMP_ACT_ALLOW\"}");
	check("a profile without rules", native(filter, 470, 0) == ALLOW);
	filter = compile("{\"defaultAction\":\"SCMP_ACT_KILL_PROCESS\"}");
	check("or one that kills for everything", native(filter, SYS_read, 0) == SECCOMP_RET_KILL_PROCESS);
}

#if defined(__x86_64__)
static void test_architectures(void)
{
	const struct seccomp_filter *filter = compile(
		"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"architectures\":[\"SCMP_ARCH_X86_64\",\"SCMP_ARCH_X86\",\"SCMP_ARCH_X32\"],"
		"\"syscalls\":[{\"names\":[\"getpid\",\"mseal\"],\"action\":\"SCMP_ACT_ALLOW\"}]}");

	check("each has its own numbers", filter_run(filter, AUDIT_ARCH_I386, 20, NULL) == ALLOW &&
						  filter_run(filter, AUDIT_ARCH_I386, SYS_getpid, NULL) == DENY &&
						  filter_run(filter, AUDIT_ARCH_X86_64, 0x40000000 | SYS_getpid, NULL) == ALLOW);
	check("of newer calls, too", filter_run(filter, AUDIT_ARCH_I386, 462, NULL) == ALLOW &&
					     filter_run(filter, AUDIT_ARCH_X86_64, 0x40000000 | 462, NULL) == ALLOW &&
					     filter_run(filter, AUDIT_ARCH_I386, 463, NULL) == NO_SUCH_CALL &&
					     filter_run(filter, AUDIT_ARCH_X86_64, 0x40000000 | 463, NULL) == NO_SUCH_CALL);
	check("others are not let in", filter_run(filter, AUDIT_ARCH_AARCH64, SYS_getpid, NULL) == SECCOMP_RET_KILL_THREAD);
	filter = compile(RULES("{\"names\":[\"getpid\"]," ALLOWED("")));
	check("none but the machine's own by default",
	      filter_run(filter, AUDIT_ARCH_I386, 20, NULL) == SECCOMP_RET_KILL_THREAD &&
		      filter_run(filter, AUDIT_ARCH_X86_64, 0x40000000 | SYS_getpid, NULL) == SECCOMP_RET_KILL_THREAD);
	filter = compile("{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"archMap\":[{\"architecture\":\"SCMP_ARCH_X86_64\","
			 "\"subArchitectures\":[\"SCMP_ARCH_X86\"]},{\"architecture\":\"SCMP_ARCH_S390X\",\"subArchitectures\":null}],"
			 "\"syscalls\":[{\"names\":[\"getpid\"],\"action\":\"SCMP_ACT_ALLOW\"}]}");
	check("Docker's map", filter_run(filter, AUDIT_ARCH_I386, 20, NULL) == ALLOW &&
				      filter_run(filter, AUDIT_ARCH_X86_64, 0x40000000 | SYS_getpid, NULL) == SECCOMP_RET_KILL_THREAD);
}
#else
static void test_architectures(void)
{
}
#endif

static void test_flags(void)
{
	static const struct {
		const char *flags;
		unsigned int expected;
	} cases[] = {
		{ "", SECCOMP_FILTER_FLAG_SPEC_ALLOW },
		{ ",\"flags\":[]", 0 },
		{ ",\"flags\":[\"SECCOMP_FILTER_FLAG_LOG\",\"SECCOMP_FILTER_FLAG_TSYNC\"]", SECCOMP_FILTER_FLAG_LOG },
		{ ",\"flags\":[\"SECCOMP_FILTER_FLAG_SPEC_ALLOW\"]", SECCOMP_FILTER_FLAG_SPEC_ALLOW },
	};
	char profile[256];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(profile, sizeof(profile), "{\"defaultAction\":\"SCMP_ACT_ALLOW\"%s}", cases[i].flags);
		check("flags", compile(profile)->flags == cases[i].expected);
	}
}

static void test_refusals(void)
{
	static const struct {
		const char *profile, *message;
	} cases[] = {
		{ "{}", "defaultAction: missing" },
		{ "{\"defaultAction\":\"SCMP_ACT_NOTIFY\"}", "needs a listener" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"defaultErrnoRet\":1}", "defaultErrnoRet" },
		{ "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":4096}", "defaultErrnoRet" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"listenerPath\":\"/run/agent\"}", "listenerPath" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"flags\":[\"SECCOMP_FILTER_FLAG_X\"]}", "is not a flag" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"amd64\"]}", "is not an architecture" },
		{ "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"SCMP_ARCH_X86\"],\"archMap\":[{\"architecture\":"
		  "\"SCMP_ARCH_X86\"}]}", "excludes architectures" },
		{ RULES("{\"names\":[],\"action\":\"SCMP_ACT_ALLOW\"}"), "syscalls[0].names: must name" },
		{ RULES("{\"names\":[\"read\"],\"name\":\"read\"," ALLOWED("")), "syscalls[0].name: excludes names" },
		{ RULES("{\"names\":[\"read\"],\"action\":\"ALLOW\"}"), "syscalls[0].action: \"ALLOW\"" },
		{ RULES("{\"names\":[\"read\"]," ALLOWED("") ",7"), "syscalls[1]: must be an object" },
		{ RULES("{\"names\":[\"read\"],\"args\":[{\"index\":6,\"op\":\"SCMP_CMP_EQ\",\"value\":1}]," ALLOWED("")), "args[0].index" },
		{ RULES("{\"names\":[\"read\"],\"args\":[{\"index\":0,\"op\":\"==\",\"value\":1}]," ALLOWED("")), "args[0].op" },
		{ RULES("{\"names\":[\"read\"],\"args\":[{\"index\":0,\"op\":\"SCMP_CMP_EQ\"}]," ALLOWED("")), "args[0].value" },
		{ RULES("{\"names\":[\"read\"],\"args\":[{\"index\":0,\"op\":\"SCMP_CMP_EQ\",\"value\":-1}]," ALLOWED("")), "args[0].value: must be an integer" },
		{ RULES("{\"names\":[\"read\"],\"args\":[{\"index\":0,\"op\":\"SCMP_CMP_EQ\",\"value\":18446744073709551616}]," ALLOWED("")),
		  "not valid JSON" },
		{ RULES("{\"names\":[\"read\"],\"includes\":{\"caps\":[\"CHOWN\"]}," ALLOWED("")), "includes.caps" },
		{ RULES("{\"names\":[\"read\"],\"includes\":{\"minKernel\":\"new\"}," ALLOWED("")), "includes.minKernel" },
		{ RULES("{\"names\":[\"file_setattr\"],\"args\":[{\"index\":0,\"op\":\"SCMP_CMP_EQ\",\"value\":1}]," ALLOWED("")),
		  "newer than the seccomp library" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		check(cases[i].profile, filter_compile(cases[i].profile, 0, &err) == NULL);
		check(cases[i].message, strcmp(err.step, "seccomp") == 0 && strstr(err.message, cases[i].message) != NULL);
	}
}

int main(void)
{
	filter_begin();
	test_actions();
	test_comparisons();
	test_alternatives();
	test_conditions();
	test_newer();
	test_architectures();
	test_flags();
	test_refusals();
	filter_forget();
	return 0;
}
