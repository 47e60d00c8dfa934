/* Who the container's process is, by the accounts of an image that may be hostile. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "setup_support.h"

#define SHOW "echo uid=$(id -u) gid=$(id -g) groups=$(grep ^Groups /proc/self/status | tr -d '\\t') home=$HOME."

static struct setup_outcome outcome;

static void run_as(const struct setup_fixture *fixture, const char *user)
{
	char berth[512];
	struct setup_case what = { .script = SHOW, .berth = berth };

	snprintf(berth, sizeof(berth), ",\"user\":%s", user);
	setup_run(fixture, &what, &outcome);
}

static void test_specs(const struct setup_fixture *fixture)
{
	run_as(fixture, "{\"spec\":\"\"}");
	expect_output("no user is root", &outcome, "uid=0 gid=0 groups=Groups:0 home=/root.");
	run_as(fixture, "{\"spec\":\"alice\"}");
	expect_output("a name, with its groups", &outcome, "uid=1000 gid=1001 groups=Groups:29 44 1001 home=/home/alice.");
	run_as(fixture, "{\"spec\":\"alice\",\"policy\":\"strict\"}");
	expect_output("strict leaves the image's groups out", &outcome, "uid=1000 gid=1001 groups=Groups:1001 home=");
	run_as(fixture, "{\"spec\":\"1000\",\"supplementalGroups\":[7,7,29]}");
	expect_output("an id with an entry", &outcome, "uid=1000 gid=1001 groups=Groups:7 29 44 1001 ");
	run_as(fixture, "{\"spec\":\"4242\"}");
	expect_output("an id without an entry", &outcome, "uid=4242 gid=0 groups=Groups:0 home=/.");
	run_as(fixture, "{\"spec\":\"alice:video\"}");
	expect_output("a group by name", &outcome, "uid=1000 gid=44 ");
	run_as(fixture, "{\"spec\":\"alice:55\",\"group\":66}");
	expect_output("group replaces the primary group", &outcome, "uid=1000 gid=66 ");
	run_as(fixture, "{\"spec\":\"4294967294\"}");
	expect_output("the largest id", &outcome, "uid=4294967294 ");
}

static void test_refusals(const struct setup_fixture *fixture)
{
	run_as(fixture, "{\"spec\":\"nobody-here\"}");
	expect_error("an unknown user", &outcome, "user", ENOENT, "nobody-here");
	run_as(fixture, "{\"spec\":\"alice:nogroup\"}");
	expect_error("an unknown group", &outcome, "user", ENOENT, "nogroup");
	run_as(fixture, "{\"spec\":\"4294967295\"}");
	expect_error("the id that is none", &outcome, "user", ERANGE, "4294967295");
	run_as(fixture, "{\"spec\":\"4294967296\"}");
	expect_error("an id that would wrap to root", &outcome, "user", ERANGE, "4294967296");
	run_as(fixture, "{\"spec\":\"18446744073709551616\"}");
	expect_error("an id beyond 64 bits", &outcome, "user", ERANGE, "beyond");
	run_as(fixture, "{\"spec\":\"-1\"}");
	expect_error("a negative id", &outcome, "user", ERANGE, "-1");
	run_as(fixture, "{\"spec\":\"0:4294967296\"}");
	expect_error("a group that would wrap", &outcome, "user", ERANGE, "4294967296");
	run_as(fixture, "{\"spec\":\"0\",\"supplementalGroups\":[4294967295]}");
	expect_error("a supplementary group that is none", &outcome, "bundle", EINVAL, "supplementalGroups");
}

static void test_absurd_files(const struct setup_fixture *fixture)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/etc/passwd", fixture->layer);
	file = fopen(path, "we");
	fputs("::::::\n:x:0:0:::\nroot\n\n\r\n#alice:x:0:0::/:\nbad:x:4294967296:0::/:\nneg:x:-1:0::/:\nsign:x:+0:0::/:\n", file);
	fputs("empty:x:::::\nblank:x: 0:0::/:\nhex:x:0x0:0::/:\n", file);
	for (int i = 0; i < 200000; i++)
		fputc('a', file);
	fputs(":x:0:0::/:\n", file);
	fwrite("nul\0:x:0:0::/:\n", 1, 15, file);
	fputs("carol:x:1003:1003::relative:\nlast:x:77:78::/home/last:/bin/sh", file);
	fclose(file);
	run_as(fixture, "{\"spec\":\"last\"}");
	expect_output("a last line without an end, after absurd ones", &outcome, "uid=77 gid=78 groups=Groups:78 home=/home/last.");
	run_as(fixture, "{\"spec\":\"carol\"}");
	expect_output("a home that is not absolute", &outcome, "uid=1003 gid=1003 groups=Groups:1003 home=/.");
	run_as(fixture, "{\"spec\":\"bad\"}");
	expect_error("an entry whose id would wrap", &outcome, "user", EINVAL, "id that is none");
	run_as(fixture, "{\"spec\":\"sign\"}");
	expect_error("an entry with a signed id", &outcome, "user", EINVAL, "id that is none");
	run_as(fixture, "{\"spec\":\"empty\"}");
	expect_error("an entry with empty ids", &outcome, "user", EINVAL, "id that is none");
	run_as(fixture, "{\"spec\":\"nul\"}");
	expect_error("a line with a NUL is none", &outcome, "user", ENOENT, "nul");
	run_as(fixture, "{\"spec\":\"alice\"}");
	expect_error("a comment is none", &outcome, "user", ENOENT, "alice");
}

static void test_hostile_files(const struct setup_fixture *fixture)
{
	setup_shell("echo 'evil:x:0:0::/:' > %s/host-passwd && ln -sf %s/host-passwd %s/etc/passwd", fixture->directory,
		    fixture->directory, fixture->layer);
	run_as(fixture, "{\"spec\":\"evil\"}");
	expect_error("a link to a file of the host leads nowhere", &outcome, "user", ENOENT, "evil");
	setup_shell("rm %s/etc/passwd && mkfifo %s/etc/passwd", fixture->layer, fixture->layer);
	run_as(fixture, "{\"spec\":\"1\"}");
	expect_error("a pipe in place of it", &outcome, "user", EINVAL, "not a regular file");
	/* No driver has this number: to open it would be ENXIO, and it must not even be tried. */
	setup_shell("rm %s/etc/passwd && mknod %s/etc/passwd c 4000 1", fixture->layer, fixture->layer);
	run_as(fixture, "{\"spec\":\"1\"}");
	expect_error("a device in place of it", &outcome, "user", EINVAL, "not a regular file");
	setup_shell("rm %s/etc/passwd && ln -s /proc/self/environ %s/etc/passwd", fixture->layer, fixture->layer);
	run_as(fixture, "{\"spec\":\"HOME\"}");
	expect_error("a link into proc", &outcome, "user", ENOENT, "HOME");
	setup_shell("rm %s/etc/passwd && truncate -s 9M %s/etc/passwd", fixture->layer, fixture->layer);
	run_as(fixture, "{\"spec\":\"x\"}");
	expect_error("a huge file", &outcome, "user", EFBIG, "larger");
	setup_shell("rm %s/etc/passwd %s/etc/group", fixture->layer, fixture->layer);
	run_as(fixture, "{\"spec\":\"5\"}");
	expect_output("no files at all", &outcome, "uid=5 gid=0 groups=Groups:0 home=/.");
}

static void test_plain_user(const struct setup_fixture *fixture)
{
	struct setup_case what = { .script = SHOW,
				   .process = "\"user\":{\"uid\":12,\"gid\":34,\"additionalGids\":[56,78]}," };

	setup_run(fixture, &what, &outcome);
	expect_output("process.user as it is", &outcome, "uid=12 gid=34 groups=Groups:56 78 home=/.");
	what.env = "[\"PATH=/bin\",\"HOME=/given\"]";
	setup_run(fixture, &what, &outcome);
	expect_output("a HOME that is given stays", &outcome, "home=/given.");
}

int main(void)
{
	struct setup_fixture fixture;

	setup_require_root();
	setup_begin(&fixture);
	test_specs(&fixture);
	test_refusals(&fixture);
	test_plain_user(&fixture);
	test_absurd_files(&fixture);
	test_hostile_files(&fixture);
	setup_end(&fixture);
	return 0;
}
