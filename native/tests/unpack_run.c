#include "unpack_support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *program(void)
{
	static char path[4096];
	const char *build = getenv("BERTH_BUILD");
	snprintf(path, sizeof(path), "%s/berth-unpack", build == NULL ? "../dist" : build);
	return path;
}

/* Writes the input while the program reads it; the output is one line and fits the pipe. */
static void feed(int fd, const struct bytes *input)
{
	for (size_t done = 0; done < input->length;) {
		ssize_t written = write(fd, input->data + done, input->length - done);
		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			break; /* EPIPE: it has refused the layer already */
		done += (size_t)written;
	}
	close(fd);
}

static void run_program(struct run *run, const char *const *arguments, const struct bytes *input)
{
	int in[2], out[2];
	size_t used = 0;
	int status;

	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
		abort();
	pid_t child = fork();
	if (child == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		/* The leak check reads /proc, which the empty root has not got. */
		setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
		execv(program(), (char *const *)arguments);
		fprintf(stderr, "%s: %s\n", program(), strerror(errno));
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	feed(in[1], input);
	for (ssize_t got; (got = read(out[0], run->output + used, sizeof(run->output) - 1 - used)) > 0;)
		used += (size_t)got;
	run->output[used] = '\0';
	close(out[0]);
	run->status = waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void run_layer(struct run *run, const struct bytes *input, const char *option, const char *value)
{
	signal(SIGPIPE, SIG_IGN);
	/* A directory in between, because the unpacker leaves a hint for the file system at its parent. */
	snprintf(run->parent, sizeof(run->parent), "/tmp/berth-unpack-test-XXXXXX");
	if (mkdtemp(run->parent) == NULL)
		abort();
	snprintf(run->dest, sizeof(run->dest), "%s/layer", run->parent);
	if (mkdir(run->dest, 0700) < 0)
		abort();
	const char *const arguments[] = { "berth-unpack", "layer", "--dest", run->dest, option, value, NULL };
	run_program(run, arguments, input);
}

void run_arguments(struct run *run, const char *const *arguments)
{
	const struct bytes nothing = { 0 };

	run_program(run, arguments, &nothing);
}

void run_command(struct run *run, const char *command, const char *argument)
{
	const char *const arguments[] = { "berth-unpack", command, argument, NULL };
	const struct bytes nothing = { 0 };
	run_program(run, arguments, &nothing);
}

void run_field(const struct run *run, const char *name, char *value, size_t size)
{
	char key[64];

	snprintf(key, sizeof(key), "\"%s\":", name);
	const char *at = strstr(run->output, key);
	if (at == NULL) {
		value[0] = '\0';
		return;
	}
	at += strlen(key);
	size_t skip = *at == '"';
	snprintf(value, size, "%.*s", (int)strcspn(at + skip, skip ? "\"" : ",}"), at + skip);
}

bool run_succeeded(const struct run *run)
{
	if (run->status != 0)
		fprintf(stderr, "status %d: %s\n", run->status, run->output);
	return run->status == 0 && strncmp(run->output, "{\"digest\":\"sha256:", 18) == 0;
}

bool run_failed(const struct run *run, const char *step, const char *path)
{
	char got_step[64], got_path[4096], message[1024];

	run_field(run, "step", got_step, sizeof(got_step));
	run_field(run, "path", got_path, sizeof(got_path));
	run_field(run, "message", message, sizeof(message));
	bool as_wanted = run->status == 1 && strcmp(got_step, step) == 0 && message[0] != '\0' &&
			 (path == NULL || strcmp(got_path, path) == 0);
	if (!as_wanted)
		fprintf(stderr, "status %d: %s\n", run->status, run->output);
	return as_wanted;
}

const char *in_dest(const struct run *run, const char *path)
{
	static char buffers[4][4096];
	static int next;
	char *buffer = buffers[next++ % 4];
	snprintf(buffer, sizeof(buffers[0]), "%s/%s", run->dest, path);
	return buffer;
}

bool content_is(const char *path, const char *text)
{
	char buffer[4096] = { 0 };
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return false;
	ssize_t length = read(fd, buffer, sizeof(buffer) - 1);
	close(fd);
	return length == (ssize_t)strlen(text) && memcmp(buffer, text, (size_t)length) == 0;
}

void sha256_of(const struct bytes *bytes, char *text, size_t size)
{
	char path[] = "/tmp/berth-unpack-sum-XXXXXX";
	char command[128], hex[65] = { 0 };
	int fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0 || write(fd, bytes->data, bytes->length) != (ssize_t)bytes->length)
		abort();
	snprintf(command, sizeof(command), "sha256sum < %s", path);
	FILE *sum = popen(command, "re");
	if (sum == NULL || fread(hex, 1, 64, sum) != 64)
		abort();
	pclose(sum);
	close(fd);
	unlink(path);
	snprintf(text, size, "sha256:%s", hex);
}

void run_clean(struct run *run)
{
	char dest[64];
	snprintf(dest, sizeof(dest), "%s", run->dest);
	run_command(run, "remove", dest);
	CHECK(run->status == 0 && access(dest, F_OK) < 0 && rmdir(run->parent) == 0);
}
