/* Containers and execs under a seccomp filter. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "filter_machine.h"
#include "setup_support.h"

#define PROFILE(rules) "\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[" rules "]},"
#define DENIED(names, more) "{\"names\":[" names "],\"action\":\"SCMP_ACT_ERRNO\"" more "}"
#define STATUS "grep -E '^(CapEff|CapPrm|CapBnd|NoNewPrivs|Seccomp)' /proc/self/status | tr -d '\\t' | tr '\\n' ' '"

static struct setup_outcome outcome;

static void test_filtered(const struct setup_fixture *fixture)
{
	struct setup_case what = { .script = STATUS "; umask 022; mkdir /tmp/x && echo made", .linux_members = PROFILE(DENIED("\"mkdir\",\"mkdirat\"", "")) };

	setup_run(fixture, &what, &outcome);
	expect_output("a container is under its filter", &outcome, "Seccomp:2 Seccomp_filters:1 ");
	expect_output("which denies what it names", &outcome, "Operation not permitted");
	expect_no_output("and denies it", &outcome, "made");
	expect_output("no capability is left of its loading", &outcome, "CapPrm:0000000000000000 CapEff:0000000000000000 CapBnd:0000000000000000 NoNewPrivs:0 ");
	what.process = "\"noNewPrivileges\":true,\"user\":{\"uid\":1000,\"gid\":1000},";
	setup_run(fixture, &what, &outcome);
	expect_output("with no_new_privs, as a user", &outcome, "NoNewPrivs:1 Seccomp:2 ");
	what.process = "\"user\":{\"uid\":1000,\"gid\":1000},\"capabilities\":{\"bounding\":[\"CAP_CHOWN\"],\"effective\":[\"CAP_CHOWN\"],"
		       "\"permitted\":[\"CAP_CHOWN\"],\"inheritable\":[\"CAP_CHOWN\"],\"ambient\":[\"CAP_CHOWN\"]},";
	setup_run(fixture, &what, &outcome);
	expect_output("ambient capabilities come through", &outcome,
		      "CapPrm:0000000000000001 CapEff:0000000000000001 CapBnd:0000000000000001 NoNewPrivs:0 Seccomp:2 ");
}

/* Nothing that the set-up itself does is under the filter but its last two calls. */
static void test_last_moment(const struct setup_fixture *fixture)
{
	struct setup_case what = {
		.script = "echo alive",
		.linux_members = PROFILE(DENIED("\"prctl\",\"setresuid\",\"setresgid\",\"setgroups\",\"chdir\",\"fchdir\",\"pivot_root\",\"close_range\","
						"\"faccessat2\",\"openat2\",\"mount\",\"umount2\",\"capget\",\"read\",\"setsid\",\"keyctl\",\"rt_sigprocmask\"", "")),
	};

	setup_run(fixture, &what, &outcome);
	/* The shell needs some of them to start: that it was executed is what counts. */
	expect("the set-up needs none of these after the filter", outcome.created && outcome.error.code == 0);
	what.linux_members = PROFILE(DENIED("\"capset\"", ""));
	setup_run(fixture, &what, &outcome);
	expect_error("capset is the one it needs", &outcome, "capabilities", EPERM, "cannot set the process's capabilities");
	what.process = "\"noNewPrivileges\":true,";
	setup_run(fixture, &what, &outcome);
	expect_output("but not with no_new_privs", &outcome, "alive");
	what.linux_members = PROFILE(DENIED("\"execve\"", ",\"errnoRet\":95"));
	setup_run(fixture, &what, &outcome);
	expect_error("a filter that allows no program", &outcome, "exec", EOPNOTSUPP, "exec");
}

static void test_exec(const struct setup_fixture *fixture)
{
	struct setup_case what = {
		.script = "touch /tmp/ready; sleep 1000",
		.exec = STATUS "; mkdir /tmp/x || echo denied",
		.exec_after = "tmp/ready",
		.linux_members = PROFILE(DENIED("\"mkdir\",\"mkdirat\"", "")),
	};

	setup_run(fixture, &what, &outcome);
	expect_output("an exec is under the same filter", &outcome, "NoNewPrivs:0 Seccomp:2 Seccomp_filters:1 ");
	expect_output("and denied the same", &outcome, "denied");
	expect_output("with no more capabilities", &outcome, "CapPrm:0000000000000000 CapEff:0000000000000000 ");
}

static void test_capabilities(const struct setup_fixture *fixture)
{
	struct setup_case what = { .script = "mkdir /tmp/x && echo made",
				   .linux_members = PROFILE(DENIED("\"mkdir\",\"mkdirat\"", ",\"excludes\":{\"caps\":[\"CAP_NET_RAW\"]}")) };

	setup_reset(fixture);
	setup_run(fixture, &what, &outcome);
	expect_no_output("a rule for those without a capability", &outcome, "made");
	what.process = "\"capabilities\":{\"bounding\":[\"CAP_NET_RAW\"]},";
	setup_run(fixture, &what, &outcome);
	expect_output("is none for those with it", &outcome, "made");
}

static void test_compiled(const struct setup_fixture *fixture)
{
	char berth[160];
	struct setup_case what = { .script = STATUS, .berth = berth, .linux_members = PROFILE(DENIED("\"execve\"", "")) };

	snprintf(berth, sizeof(berth), ",\"seccomp\":\"%s/filter\"", fixture->directory);
	setup_shell("echo '{\"defaultAction\":\"SCMP_ACT_ALLOW\"}' | $BERTH_PROGRAMS/berth-seccomp > %s/filter", fixture->directory);
	setup_run(fixture, &what, &outcome);
	expect_output("a compiled filter takes the profile's place", &outcome, "Seccomp:2 ");
	setup_shell("truncate -s -1 %s/filter", fixture->directory);
	setup_run(fixture, &what, &outcome);
	expect_error("one that is cut short", &outcome, "seccomp", EINVAL, "wrong size");
	setup_shell("echo nonsense, and more of it > %s/filter", fixture->directory);
	setup_run(fixture, &what, &outcome);
	expect_error("one that is none", &outcome, "seccomp", EINVAL, "not a compiled filter");
	setup_shell("rm %s/filter", fixture->directory);
	setup_run(fixture, &what, &outcome);
	expect_error("one that is not there", &outcome, "seccomp", ENOENT, "filter");
}

static void test_refusals(const struct setup_fixture *fixture)
{
	struct setup_case what = { .script = "true", .linux_members = "\"seccomp\":{\"defaultAction\":\"SCMP_ACT_NONE\"}," };

	setup_run(fixture, &what, &outcome);
	expect("a wrong profile is an error of the bundle", !outcome.loaded);
	expect_error("that names its member", &outcome, "seccomp", EINVAL, "linux.seccomp: defaultAction");
	what.linux_members = "\"seccomp\":[],";
	setup_run(fixture, &what, &outcome);
	expect_error("one of the wrong type", &outcome, "bundle", EINVAL, "linux.seccomp: must be an object");
	what.linux_members = "\"seccomp\":null,";
	setup_run(fixture, &what, &outcome);
	expect("none at all", outcome.created);
	what.process = "\"apparmorProfile\":\"two\\nlines\",";
	setup_run(fixture, &what, &outcome);
	expect_error("a profile's name with a line break", &outcome, "bundle", EINVAL, "apparmorProfile");
	what.process = "\"apparmorProfile\":\"unconfined\",";
	setup_run(fixture, &what, &outcome);
	expect("unconfined needs no AppArmor", outcome.created);
	what.process = "\"apparmorProfile\":\"berth-no-such-profile\",";
	setup_run(fixture, &what, &outcome);
	expect("a profile that is not loaded, or nowhere to load it", outcome.loaded && !outcome.created);
	expect("is an error that names it", strcmp(outcome.error.step, "apparmor") == 0 &&
						    strcmp(outcome.error.path, "berth-no-such-profile") == 0);
}

int main(void)
{
	struct setup_fixture fixture;

	setup_require_root();
	filter_begin();
	setup_begin(&fixture);
	test_filtered(&fixture);
	test_last_moment(&fixture);
	test_exec(&fixture);
	test_capabilities(&fixture);
	test_compiled(&fixture);
	test_refusals(&fixture);
	setup_end(&fixture);
	return 0;
}
