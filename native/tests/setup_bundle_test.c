/* Bundles that are wrong: each error names the file, the field and the problem. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>

#include "setup_support.h"
#include "../shim/bundle.h"

static struct setup_fixture fixture;

static void expect_refusal(const struct setup_case *what, const char *file, int code, const char *message)
{
	struct setup_outcome outcome = { .loaded = true };
	struct bundle *bundle;

	setup_write_bundle(&fixture, what);
	if (bundle_load(fixture.bundle, &bundle, &outcome.error) == 0)
		bundle_free(bundle);
	expect_error(message, &outcome, "bundle", code, message);
	expect("  in that file", strstr(outcome.error.path, file) != NULL);
}

static void test_process(void)
{
	static const struct {
		const char *process;
		const char *message;
	} cases[] = {
		{ "\"user\":{\"uid\":4294967295},", "process.user.uid: must be an integer from 0 to 4294967294" },
		{ "\"user\":{\"uid\":4294967296},", "process.user.uid: must be an integer" },
		{ "\"user\":{\"uid\":-1},", "process.user.uid: must be an integer" },
		{ "\"user\":{\"uid\":\"0\"},", "process.user.uid: must be an integer" },
		{ "\"user\":{\"uid\":1.5},", "process.user.uid: must be an integer" },
		{ "\"user\":{\"uid\":99999999999999999999},", "process.user.uid: must be an integer" },
		{ "\"user\":{\"gid\":4294967295},", "process.user.gid: must be an integer" },
		{ "\"user\":{\"umask\":512},", "process.user.umask: must be an integer from 0 to 511" },
		{ "\"user\":{\"additionalGids\":[4294967295]},", "process.user.additionalGids: entry 0 must be" },
		{ "\"user\":[],", "process.user: must be an object" },
		{ "\"noNewPrivileges\":1,", "process.noNewPrivileges: must be true or false" },
		{ "\"oomScoreAdj\":1001,", "process.oomScoreAdj: must be an integer from -1000 to 1000" },
		{ "\"capabilities\":{\"bounding\":[\"CAP_NOPE\"]},", "process.capabilities.bounding: entry 0 (CAP_NOPE)" },
		{ "\"capabilities\":{\"effective\":[\"CAP_KILL\"]},", "process.capabilities.effective: holds a capability" },
		{ "\"rlimits\":[{\"type\":\"RLIMIT_NOPE\",\"soft\":1,\"hard\":1}],", "process.rlimits[0].type: RLIMIT_NOPE" },
		{ "\"rlimits\":[{\"type\":\"RLIMIT_CPU\",\"soft\":2,\"hard\":1}],", "process.rlimits[0].soft: is above" },
		{ "\"rlimits\":[{\"type\":\"RLIMIT_CPU\",\"hard\":1}],", "process.rlimits[0].soft: missing" },
		{ "\"rlimits\":[{\"type\":\"RLIMIT_CPU\",\"soft\":1,\"hard\":1},"
		  "{\"type\":\"RLIMIT_CPU\",\"soft\":1,\"hard\":1}],",
		  "process.rlimits[1].type: RLIMIT_CPU appears twice" },
		{ "\"selinuxLabel\":{},\"terminal\":false,", "duplicate object key" },
	};
	struct setup_case what = { .script = "true" };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		what.process = cases[i].process;
		expect_refusal(&what, "config.json", EINVAL, cases[i].message);
	}
	what.process = "\"apparmorProfile\":\"a\\nb\",";
	expect_refusal(&what, "config.json", EINVAL, "process.apparmorProfile: holds a line break");
	what = (struct setup_case){ .args = "[]" };
	expect_refusal(&what, "config.json", EINVAL, "process.args: must name a program");
	what.args = "[\"\"]";
	expect_refusal(&what, "config.json", EINVAL, "process.args: the program's name is empty");
	what.args = "[\"a\\u0000b\"]";
	expect_refusal(&what, "config.json", EINVAL, "not valid JSON");
	what = (struct setup_case){ .cwd = "" };
	expect_refusal(&what, "config.json", EINVAL, "process.cwd: must be an absolute path");
	what = (struct setup_case){ .env = "[\"PATH\"]" };
	expect_refusal(&what, "config.json", EINVAL, "process.env: \"PATH\" is not of the form");
}

static void test_mounts(void)
{
	static const struct {
		const char *mount;
		int code;
		const char *message;
	} cases[] = {
		{ "{}", EINVAL, "mounts[6].destination: missing" },
		{ "{\"destination\":\"\",\"type\":\"tmpfs\"}", EINVAL, "mounts[6].destination: must be an absolute path" },
		{ "{\"destination\":\"rel\",\"type\":\"tmpfs\"}", EINVAL, "mounts[6].destination: must be an absolute path" },
		{ "{\"destination\":\"/\",\"type\":\"tmpfs\"}", EINVAL, "mounts[6].destination: must not be the root" },
		{ "{\"destination\":\"//./\",\"type\":\"tmpfs\"}", EINVAL, "mounts[6].destination: must not be the root" },
		{ "{\"destination\":\"/x\"}", EINVAL, "mounts[6].type: missing" },
		{ "{\"destination\":\"/x\",\"options\":[\"bind\"]}", EINVAL, "mounts[6].source: missing" },
		{ "{\"destination\":\"/x\",\"source\":\"\",\"type\":\"bind\"}", EINVAL, "mounts[6].source: missing" },
		{ "{\"destination\":\"/x\",\"source\":\"/\",\"options\":[\"bind\",\"size=1\"]}", EINVAL,
		  "mounts[6].options: \"size=1\" is not an option of a bind mount" },
		{ "{\"destination\":\"/x\",\"source\":\"/\",\"options\":[\"bind\",\"idmap\"]}", EINVAL,
		  "mounts[6].options: idmap needs a user namespace" },
		{ "{\"destination\":\"/x\",\"source\":\"/\",\"type\":\"bind\",\"uidMappings\":[{}]}", EINVAL,
		  "mounts[6].uidMappings: must hold objects" },
		{ "{\"destination\":\"/x\",\"source\":\"/\",\"options\":[1]}", EINVAL, "mounts[6].options: entry 0 must be a string" },
		{ "7", EINVAL, "mounts[6]: must be an object" },
	};
	char mounts[256];
	struct setup_case what = { .script = "true", .mounts = mounts };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(mounts, sizeof(mounts), ",%s", cases[i].mount);
		expect_refusal(&what, "config.json", cases[i].code, cases[i].message);
	}
}

static void test_linux(void)
{
	static const struct {
		const char *members;
		int code;
		const char *message;
	} cases[] = {
		{ "\"maskedPaths\":[\"proc\"],", EINVAL, "linux.maskedPaths: \"proc\" is not an absolute path" },
		{ "\"sysctl\":{\"kernel.core_pattern\":\"|/x\"},", EINVAL, "linux.sysctl.kernel.core_pattern: is not a sysctl of" },
		{ "\"sysctl\":{\"net.ipv4.ip_forward\":\"1\\nkernel.core_pattern=x\"},", EINVAL, "holds a control character" },
		{ "\"sysctl\":{\"net/../kernel/core_pattern\":\"x\"},", EINVAL, "is not the name of a sysctl" },
		{ "\"sysctl\":{\"net./../core\":\"x\"},", EINVAL, "is not the name of a sysctl" },
		{ "\"sysctl\":{\"\":\"x\"},", EINVAL, "is not the name of a sysctl" },
		{ "\"devices\":[{\"path\":\"/dev/x\",\"type\":\"z\"}],", EINVAL, "linux.devices[0].type: must be c, u, b or p" },
		{ "\"devices\":[{\"path\":\"/dev/x\",\"type\":\"c\",\"major\":4096}],", EINVAL, "linux.devices[0].major: must be" },
		{ "\"resources\":{\"devices\":[{\"allow\":true,\"access\":\"rx\"}]},", EINVAL,
		  "linux.resources.devices[0].access: must be made of r, w and m" },
		{ "\"resources\":{\"devices\":[{\"allow\":true,\"access\":\"\"}]},", EINVAL, "linux.resources.devices[0].access: must" },
		{ "\"resources\":{\"devices\":[{\"allow\":true}]},", EINVAL, "linux.resources.devices[0].access: missing" },
		{ "\"resources\":{\"devices\":[{\"type\":\"p\",\"access\":\"r\"}]},", EINVAL,
		  "linux.resources.devices[0].type: must be a, c or b" },
		{ "\"resources\":{\"devices\":[{\"minor\":1048576,\"access\":\"r\"}]},", EINVAL, "linux.resources.devices[0].minor: must be" },
		{ "\"resources\":{\"devices\":[3]},", EINVAL, "linux.resources.devices[0]" },
		{ "\"resources\":{\"devices\":[{\"allow\":false,\"access\":\"rwm\"}]},", EINVAL,
		  "linux.resources.devices: needs a cgroup" },
		{ "\"rootfsPropagation\":\"r\",", EINVAL, "linux.rootfsPropagation: \"r\" is not a propagation" },
	};
	struct setup_case what = { .script = "true" };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		what.linux_members = cases[i].members;
		expect_refusal(&what, "config.json", cases[i].code, cases[i].message);
	}
	what.linux_members = NULL;
	what.namespaces = "[{\"type\":\"pid\"}]";
	expect_refusal(&what, "config.json", EINVAL, "linux.namespaces: must hold a new mount namespace");
	what.namespaces = "[{\"type\":\"mount\"},{\"type\":\"user\"}]";
	expect_refusal(&what, "config.json", EINVAL, "linux.uidMappings: missing for the user namespace");
	what.namespaces = "[{\"type\":\"mount\"},{\"type\":\"pid\"},{\"type\":\"pid\"}]";
	expect_refusal(&what, "config.json", EINVAL, "linux.namespaces[2].type: \"pid\" appears twice");
	what.namespaces = "[{\"type\":\"mount\"}]";
	what.top = "\"hostname\":\"x\",";
	expect_refusal(&what, "config.json", EINVAL, "hostname: needs a uts namespace");
	what.namespaces = NULL;
	what.top = "\"hooks\":{\"prestart\":[{\"path\":\"bin/x\"}]},";
	expect_refusal(&what, "config.json", EINVAL, "hooks.prestart[0].path: must be an absolute path");
	what.top = "\"hooks\":{\"poststop\":[{\"path\":\"/x\"},{\"path\":\"/x\",\"timeout\":0}]},";
	expect_refusal(&what, "config.json", EINVAL, "hooks.poststop[1].timeout: must be");
	what.top = "\"hooks\":{\"createRuntime\":{}},";
	expect_refusal(&what, "config.json", EINVAL, "hooks.createRuntime: must be an array");
	what.top = "\"hooks\":{\"startContainer\":[7]},";
	expect_refusal(&what, "config.json", EINVAL, "hooks.startContainer[0]: must be an object");
}

static void test_berth(void)
{
	struct setup_case what = { .script = "true", .plain = true };

	what.berth = ",\"rootfs\":{\"lower\":[],\"upper\":\"/u\",\"work\":\"/w\"}";
	expect_refusal(&what, "berth.json", EINVAL, "rootfs.lower: must name at least one layer");
	what.berth = ",\"rootfs\":{\"lower\":[\"rel\"],\"upper\":\"/u\",\"work\":\"/w\"}";
	expect_refusal(&what, "berth.json", EINVAL, "rootfs.lower: \"rel\" is not an absolute path");
	what.berth = ",\"rootfs\":{\"lower\":[\"/l\"],\"work\":\"/w\"}";
	expect_refusal(&what, "berth.json", EINVAL, "rootfs.upper: missing");
	what.berth = ",\"user\":{\"spec\":\"x\",\"policy\":\"none\"}";
	expect_refusal(&what, "berth.json", EINVAL, "user.policy: must be");
	what.berth = ",\"user\":{}";
	expect_refusal(&what, "berth.json", EINVAL, "user.spec: missing");
	what.berth = ",\"cgroup\":\"rel\"";
	expect_refusal(&what, "berth.json", EINVAL, "cgroup: must be an absolute path");
	what.berth = ",\"stdinOnce\":\"yes\"";
	expect_refusal(&what, "berth.json", EINVAL, "stdinOnce: must be true or false");
}

static void test_files(void)
{
	struct error err;
	struct bundle *bundle;

	expect("no directory", bundle_load("/no/such/bundle", &bundle, &err) == -ENOENT && strstr(err.path, "berth.json") != NULL);
	expect("a relative directory", bundle_load("bundle", &bundle, &err) == -EINVAL);
	setup_shell("truncate -s 5M %s/berth.json", fixture.bundle);
	expect("a huge file", bundle_load(fixture.bundle, &bundle, &err) == -EFBIG);
	setup_shell("rm %s/berth.json && mkfifo %s/berth.json", fixture.bundle, fixture.bundle);
	expect("a pipe", bundle_load(fixture.bundle, &bundle, &err) == -EINVAL && strstr(err.message, "regular") != NULL);
	setup_shell("rm %s/berth.json && echo [] > %s/berth.json", fixture.bundle, fixture.bundle);
	expect("an array", bundle_load(fixture.bundle, &bundle, &err) == -EINVAL && strstr(err.message, "object") != NULL);
	setup_shell("yes '[' | head -100000 | tr -d '\\n' > %s/berth.json", fixture.bundle);
	expect("deep nesting", bundle_load(fixture.bundle, &bundle, &err) == -EINVAL);
}

static void test_limits_exact(void)
{
	struct setup_case what = { .script = "true",
				   .process = "\"user\":{\"uid\":4294967294},\"rlimits\":["
					      "{\"type\":\"RLIMIT_AS\",\"soft\":9007199254740992,\"hard\":18446744073709551615}]," };
	struct error err;
	struct bundle *bundle = NULL;

	setup_write_bundle(&fixture, &what);
	expect("an unlimited limit is read", bundle_load(fixture.bundle, &bundle, &err) == 0);
	expect("exactly", bundle->process.limits[0].value.rlim_max == RLIM_INFINITY &&
				  bundle->process.limits[0].value.rlim_cur == 9007199254740992ULL &&
				  bundle->process.uid == 4294967294U);
	bundle_free(bundle);
}

int main(void)
{
	setup_require_root();
	setup_begin(&fixture);
	test_process();
	test_mounts();
	test_linux();
	test_berth();
	test_limits_exact();
	test_files();
	setup_end(&fixture);
	return 0;
}
