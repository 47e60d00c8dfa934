#include "setup_support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sched.h>
#include <unistd.h>

#define DEFAULT_NAMESPACES                                                                                    \
	"[{\"type\":\"mount\"},{\"type\":\"pid\"},{\"type\":\"network\"},{\"type\":\"ipc\"},"                \
	"{\"type\":\"uts\"},{\"type\":\"cgroup\"}]"
#define DEFAULT_MOUNTS                                                                                        \
	"{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\",\"options\":[\"nosuid\",\"noexec\",\"nodev\"]}," \
	"{\"destination\":\"/dev\",\"type\":\"tmpfs\",\"source\":\"tmpfs\","                                  \
	"\"options\":[\"nosuid\",\"strictatime\",\"mode=755\",\"size=65536k\"]},"                              \
	"{\"destination\":\"/dev/pts\",\"type\":\"devpts\",\"source\":\"devpts\","                            \
	"\"options\":[\"nosuid\",\"noexec\",\"newinstance\",\"ptmxmode=0666\",\"mode=0620\",\"gid=5\"]},"       \
	"{\"destination\":\"/dev/mqueue\",\"type\":\"mqueue\",\"source\":\"mqueue\","                         \
	"\"options\":[\"nosuid\",\"noexec\",\"nodev\"]},"                                                       \
	"{\"destination\":\"/sys\",\"type\":\"sysfs\",\"source\":\"sysfs\","                                  \
	"\"options\":[\"nosuid\",\"noexec\",\"nodev\",\"ro\"]},"                                                \
	"{\"destination\":\"/sys/fs/cgroup\",\"type\":\"cgroup\",\"source\":\"cgroup\","                      \
	"\"options\":[\"nosuid\",\"noexec\",\"nodev\",\"relatime\",\"ro\"]}"

void setup_require_root(void)
{
	if (geteuid() == 0 && unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0)
		return;
	printf("skipped: needs root and mount namespaces\n");
	exit(77);
}

void setup_shell(const char *format, ...)
{
	char command[4096];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	if (system(command) != 0) {
		printf("failed: %s\n", command);
		exit(1);
	}
}

/* Also when a check ends the test. */
static char cleaned[64];
static void clean(void)
{
	if (cleaned[0] == '\0')
		return;
	umount2(cleaned, MNT_DETACH);
	rmdir(cleaned);
}

void setup_begin(struct setup_fixture *fixture)
{
	snprintf(fixture->directory, sizeof(fixture->directory), "/tmp/berth-setup-XXXXXX");
	if (mkdtemp(fixture->directory) == NULL) {
		perror("mkdtemp");
		exit(1);
	}
	snprintf(cleaned, sizeof(cleaned), "%s", fixture->directory);
	atexit(clean);
	/* In a tmpfs of this mount namespace: whatever happens, nothing but an empty directory stays behind. */
	if (mount("tmpfs", fixture->directory, "tmpfs", 0, "mode=755") < 0) {
		perror("mount tmpfs");
		exit(1);
	}
	snprintf(fixture->bundle, sizeof(fixture->bundle), "%s/bundle", fixture->directory);
	snprintf(fixture->layer, sizeof(fixture->layer), "%s/layer", fixture->directory);
	snprintf(fixture->upper, sizeof(fixture->upper), "%s/upper", fixture->directory);
	snprintf(fixture->work, sizeof(fixture->work), "%s/work", fixture->directory);
	setup_shell("mkdir -p %s/bin %s/etc %s/tmp %s && chmod 1777 %s/tmp", fixture->layer, fixture->layer,
		    fixture->layer, fixture->bundle, fixture->layer);
	setup_shell("b=$(command -v busybox) && cp $b %s/bin/busybox && chroot %s /bin/busybox --install -s /bin",
		    fixture->layer, fixture->layer);
	setup_layer_file(fixture, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1001::/home/alice:/bin/sh\n",
			 0644);
	setup_layer_file(fixture, "etc/group", "root:x:0:\nstaff:x:1001:\naudio:x:29:bob,alice\nvideo:x:44:alice\n", 0644);
	setup_reset(fixture);
}

void setup_reset(const struct setup_fixture *fixture)
{
	setup_shell("rm -rf %s %s && mkdir -m 755 %s && mkdir -m 700 %s", fixture->upper, fixture->work, fixture->upper,
		    fixture->work);
}

void setup_end(const struct setup_fixture *fixture)
{
	expect("nothing uses the containers' files any more", umount2(fixture->directory, 0) == 0);
	rmdir(fixture->directory);
	cleaned[0] = '\0';
}

void setup_layer_file(const struct setup_fixture *fixture, const char *path, const char *content, unsigned int mode)
{
	char full[256];
	FILE *file;

	snprintf(full, sizeof(full), "%s/%s", fixture->layer, path);
	setup_shell("mkdir -p $(dirname %s)", full);
	file = fopen(full, "we");
	if (file == NULL || fputs(content, file) < 0 || fclose(file) != 0 || chmod(full, mode) < 0) {
		perror(full);
		exit(1);
	}
}

static const char *or(const char *given, const char *otherwise)
{
	return given != NULL ? given : otherwise;
}

static void write_config(const struct setup_fixture *fixture, const struct setup_case *what)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/config.json", fixture->bundle);
	file = fopen(path, "we");
	if (file == NULL) {
		perror(path);
		exit(1);
	}
	fprintf(file, "{\"ociVersion\":\"1.2.0\",%s", or(what->top, ""));
	fprintf(file, "\"root\":{\"path\":\"%s\",\"readonly\":%s},", what->plain ? fixture->layer : "rootfs",
		what->readonly ? "true" : "false");
	fprintf(file, "\"process\":{%s\"terminal\":%s,\"cwd\":\"%s\",\"env\":%s,\"args\":", or(what->process, ""),
		what->terminal ? "true" : "false", or(what->cwd, "/"), or(what->env, "[\"PATH=/bin\"]"));
	if (what->args != NULL)
		fprintf(file, "%s},", what->args);
	else
		fprintf(file, "[\"/bin/sh\",\"-c\",\"%s\"]},", or(what->script, "true"));
	fprintf(file, "\"mounts\":[" DEFAULT_MOUNTS "%s],", or(what->mounts, ""));
	fprintf(file, "\"linux\":{%s\"namespaces\":%s}}", or(what->linux_members, ""),
		or(what->namespaces, DEFAULT_NAMESPACES));
	fclose(file);
}

void setup_write_bundle(const struct setup_fixture *fixture, const struct setup_case *what)
{
	char path[128];
	FILE *file;

	write_config(fixture, what);
	snprintf(path, sizeof(path), "%s/berth.json", fixture->bundle);
	file = fopen(path, "we");
	if (file == NULL) {
		perror(path);
		exit(1);
	}
	fprintf(file, "{\"id\":\"%064d\",\"log\":null,\"stdin\":false", 7);
	if (!what->plain)
		fprintf(file, ",\"rootfs\":{\"lower\":[\"%s\"],\"upper\":\"%s\",\"work\":\"%s\",\"volatile\":true}",
			fixture->layer, fixture->upper, fixture->work);
	fprintf(file, "%s}", or(what->berth, ""));
	fclose(file);
}

void expect(const char *title, bool condition)
{
	printf("%s: %s\n", condition ? "ok" : "FAILED", title);
	fflush(stdout);
	if (!condition)
		exit(1);
}

static void show(const struct setup_outcome *outcome)
{
	printf("  created %d, status 0x%x, error [%s] [%s] %s\n  output: %s\n", outcome->created, (unsigned int)outcome->status,
	       outcome->error.step, outcome->error.path, outcome->error.message, outcome->output);
}

void expect_output(const char *title, const struct setup_outcome *outcome, const char *needle)
{
	bool found = outcome->created && strstr(outcome->output, needle) != NULL;

	if (!found)
		printf("  wanted: %s\n", needle), show(outcome);
	expect(title, found);
}

void expect_no_output(const char *title, const struct setup_outcome *outcome, const char *needle)
{
	bool found = strstr(outcome->output, needle) != NULL;

	if (found)
		show(outcome);
	expect(title, !found);
}

void expect_exit(const char *title, const struct setup_outcome *outcome, int code)
{
	bool fine = outcome->created && WIFEXITED(outcome->status) && WEXITSTATUS(outcome->status) == code;

	if (!fine)
		show(outcome);
	expect(title, fine);
}

void expect_error(const char *title, const struct setup_outcome *outcome, const char *step, int code,
		  const char *in_message)
{
	bool fine = outcome->error.step[0] != '\0' && strcmp(outcome->error.step, step) == 0 &&
		    outcome->error.code == code && strstr(outcome->error.message, in_message) != NULL;

	if (!fine)
		printf("  wanted: [%s] %s %s\n", step, error_name(code), in_message), show(outcome);
	expect(title, fine);
}
