/*
 * Thousands of damaged bundles and account files, the same ones in every run: none may crash the parsers (the
 * sanitizers watch), and what is refused is refused with a reason.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "setup_support.h"
#include "../shim/accounts.h"
#include "../shim/setup.h"
#include "../shim/user.h"

#define ROUNDS 6000

static struct setup_fixture fixture;

static uint32_t next_random(void)
{
	static uint32_t state = 2463534242U;

	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state;
}

static size_t read_file(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = read(fd, text, size);

	close(fd);
	expect("the file to damage", length > 0);
	return (size_t)length;
}

static void write_file(const char *path, const char *text, size_t length)
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, text, length) != (ssize_t)length)
		exit(1);
	close(fd);
}

/* Bytes changed, a stretch removed, a stretch doubled, or a piece that means something put in. */
static size_t damage(const char *from, size_t length, char *to)
{
	static const char *const pieces[] = { "null", "{}", "[]", "-1", "4294967296", "18446744073709551615", "\"\"", ":", "\n",
					      "\\u0000", "1e999", "\"/\"", "true", "::::", "," };
	size_t at = next_random() % length;
	size_t stretch = next_random() % 16;
	const char *piece = pieces[next_random() % (sizeof(pieces) / sizeof(pieces[0]))];
	size_t added = strlen(piece);

	memcpy(to, from, length);
	if (at + stretch > length)
		stretch = length - at;
	switch (next_random() % 4) {
	case 0:
		to[at] = (char)next_random();
		return length;
	case 1:
		memmove(to + at, to + at + stretch, length - at - stretch);
		return length - stretch;
	case 2:
		memmove(to + at + stretch, to + at, length - at);
		return length + stretch;
	default:
		memmove(to + at + added, to + at + stretch, length - at - stretch);
		memcpy(to + at, piece, added);
		return length - stretch + added;
	}
}

static void damage_bundle(const char *name)
{
	static char good[16384];
	static char bad[20000];
	char path[128];
	size_t length;
	int accepted = 0;

	snprintf(path, sizeof(path), "%s/%s", fixture.bundle, name);
	length = read_file(path, good, sizeof(good));
	for (int round = 0; round < ROUNDS; round++) {
		struct error err = { 0 };
		struct bundle *bundle = NULL;

		write_file(path, bad, damage(good, length, bad));
		if (bundle_load(fixture.bundle, &bundle, &err) == 0) {
			accepted++;
			bundle_free(bundle);
		} else if (bundle != NULL || strcmp(err.step, "bundle") != 0 || err.message[0] == '\0' || err.code == 0) {
			expect("a refusal has a reason", false);
		}
	}
	write_file(path, good, length);
	printf("  %s: %d of %d were still acceptable\n", name, accepted, ROUNDS);
	expect("most damage is noticed, some is harmless", accepted > 0 && accepted < ROUNDS / 2);
}

static void damage_accounts(const char *name)
{
	static char good[4096];
	static char bad[8192];
	char path[128];
	struct error err = { 0 };
	struct bundle *bundle;
	int root = open(fixture.layer, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int found = 0;
	size_t length;

	expect("the bundle", bundle_load(fixture.bundle, &bundle, &err) == 0);
	snprintf(path, sizeof(path), "%s/etc/%s", fixture.layer, name);
	length = read_file(path, good, sizeof(good));
	for (int round = 0; round < ROUNDS; round++) {
		struct resolved_user user;

		memset(&err, 0, sizeof(err));
		write_file(path, bad, damage(good, length, bad));
		if (user_resolve(bundle, root, &user, &err) == 0) {
			found++;
			if (user.uid == (uid_t)-1 || user.gid == (gid_t)-1 || user.home[0] != '/' || user.group_count < 1)
				expect("a user is whole", false);
		} else if (strcmp(err.step, "user") != 0 || err.code == 0) {
			expect("a refusal has a reason", false);
		}
	}
	write_file(path, good, length);
	bundle_free(bundle);
	close(root);
	printf("  %s: the user was found in %d of %d\n", name, found, ROUNDS);
	expect("some damage hides the user, some does not", found > ROUNDS / 4 && found < ROUNDS);
}

int main(void)
{
	struct setup_case what = {
		.script = "true",
		.process = "\"user\":{\"uid\":1,\"gid\":2,\"umask\":18,\"additionalGids\":[3,4]},"
			   "\"rlimits\":[{\"type\":\"RLIMIT_CORE\",\"soft\":1,\"hard\":2}],\"oomScoreAdj\":5,"
			   "\"capabilities\":{\"bounding\":[\"CAP_KILL\"],\"permitted\":[\"CAP_KILL\"],\"effective\":[\"CAP_KILL\"]},",
		.mounts = ",{\"destination\":\"/v\",\"source\":\"/s\",\"options\":[\"rbind\",\"rprivate\",\"ro\",\"rnosuid\"]}",
		.linux_members = "\"maskedPaths\":[\"/proc/keys\"],\"readonlyPaths\":[\"/proc/sys\"],"
				 "\"sysctl\":{\"net.core.somaxconn\":\"1\"},\"rootfsPropagation\":\"rslave\","
				 "\"devices\":[{\"path\":\"/dev/x\",\"type\":\"c\",\"major\":1,\"minor\":2}],"
				 "\"resources\":{\"devices\":[{\"allow\":true,\"access\":\"rwm\"},{\"allow\":true,\"type\":\"c\","
				 "\"major\":1,\"minor\":-1,\"access\":\"rw\"}]},",
		.berth = ",\"cgroup\":\"/c\",\"user\":{\"spec\":\"alice:video\",\"group\":-1,\"supplementalGroups\":[5],"
			 "\"policy\":\"merge\"}",
		.top = "\"hostname\":\"h\",",
	};

	setup_require_root();
	setup_begin(&fixture);
	setup_write_bundle(&fixture, &what);
	damage_bundle("config.json");
	damage_bundle("berth.json");
	damage_accounts("passwd");
	damage_accounts("group");
	setup_end(&fixture);
	return 0;
}
