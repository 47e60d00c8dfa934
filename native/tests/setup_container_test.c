/* What a container looks like from inside. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "setup_support.h"

static struct setup_outcome outcome;

static void test_root(const struct setup_fixture *fixture)
{
	struct setup_case what = { .script = "cat /proc/self/mountinfo; echo made > /made; cat /made; id; pwd; ls /" };

	setup_run(fixture, &what, &outcome);
	expect_exit("the program runs", &outcome, 0);
	expect_output("the root is the overlay", &outcome, " / / rw,relatime - overlay overlay rw,lowerdir+=");
	expect_output("redirects are not followed", &outcome, "redirect_dir=nofollow");
	expect_output("the root is writable", &outcome, "\nmade\n");
	expect_output("proc is mounted", &outcome, "/proc rw,nosuid,nodev,noexec,relatime - proc proc");
	expect_output("sysfs is read-only", &outcome, "/sys ro,nosuid,nodev,noexec,relatime - sysfs sysfs");
	expect_output("cgroup2 is read-only", &outcome, "/sys/fs/cgroup ro,nosuid,nodev,noexec,relatime - cgroup2");
	expect_output("the cgroup namespace's root is the cgroup", &outcome, " / /sys/fs/cgroup ");
	expect_no_output("nothing of the host's mounts is left", &outcome, "/bundle");
	expect_no_output("no mount is shared", &outcome, "shared:");
	expect_no_output("no mount is a slave", &outcome, "master:");
}

static void test_dev(const struct setup_fixture *fixture)
{
	struct setup_case what = {
		.script = "stat -c '%n %F %t,%T %a' /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty /dev/x/fuse; "
			  "for l in fd stdin stdout stderr core ptmx; do echo $l=$(readlink /dev/$l); done; "
			  "echo x > /dev/null; echo to-stdout > /dev/stdout; ls -d /dev/pts/ptmx; ls /proc/self/fd | tr '\\n' ' '",
		.linux_members = "\"devices\":[{\"path\":\"/dev/x/fuse\",\"type\":\"c\",\"major\":10,\"minor\":229,"
				 "\"fileMode\":420,\"uid\":1000,\"gid\":5}],",
	};

	setup_run(fixture, &what, &outcome);
	expect_output("null", &outcome, "/dev/null character special file 1,3 666");
	expect_output("tty", &outcome, "/dev/tty character special file 5,0 666");
	expect_output("a device of the bundle", &outcome, "/dev/x/fuse character special file a,e5 644");
	expect_output("links", &outcome, "fd=/proc/self/fd\nstdin=/proc/self/fd/0\nstdout=/proc/self/fd/1\n");
	expect_output("ptmx", &outcome, "ptmx=pts/ptmx");
	expect_output("standard output opens again", &outcome, "to-stdout");
	expect_output("only the standard descriptors are open", &outcome, "0 1 2 3 ");
	expect_no_output("no other descriptor is open", &outcome, "0 1 2 3 4");
}

/* What a privileged container's bundle holds: the standard devices again, and the host's terminals. */
static void test_host_devices(const struct setup_fixture *fixture)
{
	char mounts[256];
	struct setup_case what = {
		.script = "stat -c '%n %F %t,%T %a %u' /dev/null /dev/ptmx /dev/console",
		.linux_members = "\"devices\":[{\"path\":\"/dev/null\",\"type\":\"c\",\"major\":1,\"minor\":3,\"fileMode\":384,"
				 "\"uid\":5},{\"path\":\"/dev/ptmx\",\"type\":\"c\",\"major\":5,\"minor\":2},"
				 "{\"path\":\"/dev/console\",\"type\":\"c\",\"major\":5,\"minor\":1}],",
		.terminal = true,
	};

	setup_run(fixture, &what, &outcome);
	expect_output("a standard device with access of its own", &outcome, "/dev/null character special file 1,3 600 5");
	expect_output("ptmx stays the container's", &outcome, "/dev/ptmx symbolic link");
	expect_output("the console stays the terminal", &outcome, "/dev/console character special file 88,");
	what.terminal = false;
	setup_shell("mkdir %s/hostdev && mknod -m 644 %s/hostdev/null c 1 3", fixture->directory, fixture->directory);
	snprintf(mounts, sizeof(mounts), ",{\"destination\":\"/dev\",\"source\":\"%s/hostdev\",\"options\":[\"rbind\"]}",
		 fixture->directory);
	what.mounts = mounts;
	what.script = "ls /dev";
	setup_run(fixture, &what, &outcome);
	expect_exit("a directory of the host as /dev", &outcome, 0);
	setup_shell("test \"$(ls %s/hostdev)\" = null && test \"$(stat -c %%a%%u %s/hostdev/null)\" = 6440", fixture->directory,
		    fixture->directory);
	setup_reset(fixture);
}

static void test_privileges(const struct setup_fixture *fixture)
{
	struct setup_case what = {
		.script = "grep -E '^(Cap|NoNewPrivs|SigBlk|SigIgn|Groups|Umask)' /proc/self/status; ulimit -n; umask; hostname; "
			  "cat /proc/sys/kernel/msgmax; cat /sys/class/net/lo/operstate; "
			  "echo session=$(cut -d' ' -f 6 /proc/1/stat)",
		.process = "\"noNewPrivileges\":true,\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"soft\":100,\"hard\":200},"
			   "{\"type\":\"RLIMIT_CORE\",\"soft\":0,\"hard\":18446744073709551615}],"
			   "\"user\":{\"uid\":0,\"gid\":0,\"umask\":63},"
			   "\"capabilities\":{\"bounding\":[\"CAP_CHOWN\",\"CAP_KILL\"],\"effective\":[\"CAP_CHOWN\"],"
			   "\"permitted\":[\"CAP_CHOWN\",\"CAP_KILL\"],\"inheritable\":[],\"ambient\":[]},",
		.linux_members = "\"sysctl\":{\"kernel.msgmax\":\"12345\",\"net/ipv4/ip_forward\":\"1\"},",
		.top = "\"hostname\":\"box\",",
	};

	setup_run(fixture, &what, &outcome);
	expect_output("bounding set", &outcome, "CapBnd:\t0000000000000021");
	expect_output("inheritable set is empty", &outcome, "CapInh:\t0000000000000000");
	expect_output("permitted follows the bounding set for root", &outcome, "CapPrm:\t0000000000000021");
	expect_output("no_new_privs", &outcome, "NoNewPrivs:\t1");
	expect_output("no signal is blocked", &outcome, "SigBlk:\t0000000000000000");
	expect_output("no signal is ignored", &outcome, "SigIgn:\t0000000000000000");
	expect_output("limit", &outcome, "\n100\n");
	expect_output("umask", &outcome, "\n0077\nbox\n");
	expect_output("sysctl", &outcome, "\n12345\n");
	expect_output("session of its own", &outcome, "session=1\n");
}

static void test_user_capabilities(const struct setup_fixture *fixture)
{
	struct setup_case what = {
		.script = "grep -E '^Cap' /proc/self/status; id -u",
		.process = "\"user\":{\"uid\":1000,\"gid\":1001},"
			   "\"capabilities\":{\"bounding\":[\"CAP_CHOWN\",\"CAP_NET_RAW\"],\"effective\":[\"CAP_NET_RAW\"],"
			   "\"permitted\":[\"CAP_NET_RAW\"],\"inheritable\":[\"CAP_NET_RAW\"],\"ambient\":[\"CAP_NET_RAW\"]},",
	};

	setup_run(fixture, &what, &outcome);
	expect_output("an ambient capability reaches a user", &outcome, "CapEff:\t0000000000002000");
	what.process = "\"user\":{\"uid\":1000,\"gid\":1001},\"capabilities\":{\"bounding\":[\"CAP_CHOWN\"],"
		       "\"effective\":[\"CAP_CHOWN\"],\"permitted\":[\"CAP_CHOWN\"]},";
	setup_run(fixture, &what, &outcome);
	expect_output("without ambient a user has none", &outcome, "CapEff:\t0000000000000000");
}

static void test_masks(const struct setup_fixture *fixture)
{
	struct setup_case what = {
		.script = "stat -Lc '%n %t,%T' /proc/version /etc/secret; ls /proc/fs /proc/irq | wc -l; "
			  "touch /proc/irq/x; wc -c < /proc/keys; "
			  "echo 1 > /proc/sys/kernel/domainname || echo readonly-ok; chmod 600 /etc/secret",
		.linux_members = "\"maskedPaths\":[\"/proc/version\",\"/proc/keys\",\"/proc/fs\",\"/proc/irq\",\"/etc/secret\","
				 "\"/none\",\"/etc/passwd/none\"],\"readonlyPaths\":[\"/proc/sys\",\"/proc/bus\",\"/none\"],",
	};

	setup_shell("ln -sf /etc/hidden %s/etc/secret && echo hidden > %s/etc/hidden", fixture->layer, fixture->layer);
	setup_run(fixture, &what, &outcome);
	expect_output("a masked file is the null device", &outcome, "/proc/version 1,3\n/etc/secret 1,3\n");
	expect_output("a masked file reads empty", &outcome, "\n0\n");
	expect_output("a masked directory stays empty", &outcome, "touch: /proc/irq/x: Read-only file system");
	expect_output("a read-only path", &outcome, "readonly-ok");
	setup_shell("test $(stat -c %%a /dev/null) = 666");
	what.script = "cat /etc/hidden; echo end";
	setup_run(fixture, &what, &outcome);
	expect_output("a masked link masks what it points to", &outcome, "end");
	expect_no_output("a masked link masks what it points to", &outcome, "hidden");
	setup_shell("rm %s/etc/secret %s/etc/hidden", fixture->layer, fixture->layer);
}

static void test_mount_kinds(const struct setup_fixture *fixture)
{
	char mounts[2048];
	struct setup_case what = {
		.script = "cat /proc/self/mountinfo; touch /vol/x /ro/x; cat /etc/resolv.conf /run/other; ls /deep/new/dir; "
			  "ls -ld /deep",
		.mounts = mounts,
		.readonly = true,
	};

	setup_shell("mkdir -p %s/vol/sub && mount -t tmpfs sub %s/vol/sub && echo nameserver > %s/resolv && "
		    "ln -sfn ../run/stub %s/etc/resolv.conf && touch %s/vol/there",
		    fixture->directory, fixture->directory, fixture->directory, fixture->layer, fixture->directory);
	snprintf(mounts, sizeof(mounts),
		 ",{\"destination\":\"/vol\",\"source\":\"%s/vol\",\"options\":[\"rbind\",\"rw\",\"nosuid\"]}"
		 ",{\"destination\":\"/ro\",\"source\":\"%s/vol\",\"options\":[\"rbind\",\"rro\"]}"
		 ",{\"destination\":\"/deep/new/dir\",\"type\":\"bind\",\"source\":\"%s/vol\",\"options\":[\"bind\",\"ro\"]}"
		 ",{\"destination\":\"/etc/resolv.conf\",\"source\":\"%s/resolv\",\"options\":[\"bind\",\"ro\"]}"
		 ",{\"destination\":\"/run/other\",\"source\":\"%s/resolv\",\"options\":[\"bind\"]}"
		 ",{\"destination\":\"/scratch\",\"type\":\"tmpfs\",\"source\":\"scratch\",\"options\":[\"noexec\",\"size=1m\"]}",
		 fixture->directory, fixture->directory, fixture->directory, fixture->directory, fixture->directory);
	setup_run(fixture, &what, &outcome);
	expect_output("a volume", &outcome, "/vol rw,nosuid,relatime");
	expect_output("what is mounted in it comes along", &outcome, "/vol/sub rw,relatime");
	expect_output("a read-only volume", &outcome, "/ro ro,relatime");
	expect_output("read-only all the way down", &outcome, "/ro/sub ro,relatime");
	expect_output("without r only the volume itself", &outcome, "/deep/new/dir ro,relatime");
	expect_no_output("without rbind nothing below", &outcome, "/deep/new/dir/sub");
	expect_output("a file over a dangling link", &outcome, "nameserver\nnameserver");
	expect_output("tmpfs options", &outcome, "/scratch rw,noexec,relatime - tmpfs scratch rw,size=1024k");
	expect_output("the root is read-only", &outcome, " / / ro,relatime - overlay");
	expect_output("writes go through", &outcome, "touch: /ro/x: Read-only file system");
	expect_no_output("writes go through", &outcome, "touch: /vol/x");
	setup_shell("test -e %s/vol/x && umount %s/vol/sub && rm %s/etc/resolv.conf", fixture->directory, fixture->directory,
		    fixture->layer);
	setup_reset(fixture);
}

static void test_propagation(const struct setup_fixture *fixture)
{
	char mounts[1024];
	struct setup_case what = { .script = "cat /proc/self/mountinfo; mkdir -p /both/m; mount -t tmpfs inside /both/m; "
					     "mkdir -p /only/m; mount -t tmpfs inside /only/m",
				   .process = "\"capabilities\":{\"bounding\":[\"CAP_SYS_ADMIN\"],\"permitted\":[\"CAP_SYS_ADMIN\"]},",
				   .linux_members = "\"rootfsPropagation\":\"rshared\",",
				   .mounts = mounts };

	setup_shell("mkdir %s/prop && mount -t tmpfs prop %s/prop && mount --make-shared %s/prop", fixture->directory,
		    fixture->directory, fixture->directory);
	snprintf(mounts, sizeof(mounts),
		 ",{\"destination\":\"/both\",\"source\":\"%s/prop\",\"options\":[\"rbind\",\"rshared\"]}"
		 ",{\"destination\":\"/only\",\"source\":\"%s/prop\",\"options\":[\"rbind\",\"rslave\"]}"
		 ",{\"destination\":\"/none\",\"source\":\"%s/prop\",\"options\":[\"rbind\",\"rprivate\"]}",
		 fixture->directory, fixture->directory, fixture->directory);
	setup_run(fixture, &what, &outcome);
	expect_exit("volumes with propagation", &outcome, 0);
	expect_output("bidirectional", &outcome, "/both rw,relatime shared:");
	expect_output("host to container", &outcome, "/only rw,relatime master:");
	expect_output("private", &outcome, "/none rw,relatime - tmpfs");
	expect_output("the root is shared as asked", &outcome, "/ / rw,relatime shared:");
	setup_shell("grep -q ' %s/prop/m ' /proc/self/mountinfo && umount %s/prop/m && umount %s/prop", fixture->directory,
		    fixture->directory, fixture->directory);
}

static void test_terminal(const struct setup_fixture *fixture)
{
	struct setup_case what = { .script = "tty; stat -c '%n %F' /dev/console; echo via-tty > /dev/tty; echo via-console > "
					     "/dev/console; stat -c %u /dev/console; echo term=$TERM",
				   .process = "\"user\":{\"uid\":1000,\"gid\":1000},",
				   .terminal = true };

	setup_run(fixture, &what, &outcome);
	expect_output("the controlling terminal", &outcome, "via-tty");
	expect_output("the console is the terminal", &outcome, "via-console");
	expect_output("the terminal is the user's", &outcome, "\n1000");
	expect_output("TERM", &outcome, "term=xterm");
}

static void test_plain(const struct setup_fixture *fixture)
{
	struct setup_case what = { .script = "cat /proc/self/mountinfo; touch /new; pwd; stat -c '%a %u' /work/dir",
				   .cwd = "/work/dir",
				   .plain = true };

	setup_run(fixture, &what, &outcome);
	expect_exit("a plain bundle", &outcome, 0);
	expect_output("its root is a bind", &outcome, "/layer / rw,relatime - tmpfs");
	expect_output("the working directory is made", &outcome, "\n/work/dir\n755 0");
	setup_shell("rm -r %s/new %s/work", fixture->layer, fixture->layer);
}

int main(void)
{
	struct setup_fixture fixture;

	setup_require_root();
	setup_begin(&fixture);
	test_root(&fixture);
	test_dev(&fixture);
	test_host_devices(&fixture);
	test_privileges(&fixture);
	test_user_capabilities(&fixture);
	test_masks(&fixture);
	test_mount_kinds(&fixture);
	test_propagation(&fixture);
	test_terminal(&fixture);
	test_plain(&fixture);
	setup_end(&fixture);
	return 0;
}
