/*
 * berth-seccomp: compiles one seccomp profile.
 *
 *   berth-seccomp [--config] [--capabilities CAP_CHOWN,CAP_KILL]   < profile.json > filter
 *
 * With --config the input is a whole config.json, whose linux.seccomp is the profile. The capabilities are those of the container's bounding set; Docker's profiles ask for them. The filter has the
 * form of common/seccomp_filter.h. Exit status 0, or 1 with one line on standard error that names what is wrong.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "../common/scope.h"
#include "../common/seccomp_filter.h"
#include "../shim/capability_names.h"
#include "compile.h"
#include "confine.h"
#include "input.h"

struct program {
	struct seccomp_filter_header header;
	struct sock_filter instructions[BPF_MAXINSNS];
};

struct task {
	struct surroundings around;
	bool whole_config;
	int scratch; /* a file in memory */
};

static int parse_capabilities(char *list, uint64_t *out, struct error *err)
{
	char *rest = NULL;

	for (char *name = strtok_r(list, ",", &rest); name != NULL; name = strtok_r(NULL, ",", &rest)) {
		int number = capability_number(name);

		if (number < 0)
			return error_set(err, EINVAL, "args", name, "\"%.64s\" is not a capability", name);
		*out |= UINT64_C(1) << number;
	}
	return 0;
}

static int look_around(struct surroundings *around, struct error *err)
{
	struct utsname system;

	if (uname(&system) < 0 || !kernel_version(system.release, around->kernel))
		return error_set(err, EINVAL, "args", "", "the kernel's version cannot be read");
	return 0;
}

static int parse_arguments(int count, char **arguments, struct task *task, struct error *err)
{
	for (int i = 1; i < count; i++) {
		int ret = 0;

		if (strcmp(arguments[i], "--config") == 0)
			task->whole_config = true;
		else if (strcmp(arguments[i], "--capabilities") == 0 && i + 1 < count)
			ret = parse_capabilities(arguments[++i], &task->around.capabilities, err);
		else
			return error_set(err, EINVAL, "args", "",
					 "usage: berth-seccomp [--config] [--capabilities CAP_A,CAP_B] < profile > filter");
		if (ret < 0)
			return ret;
	}
	return look_around(&task->around, err);
}

/* The library writes to a descriptor. */
static int export(const struct compilation *compilation, int scratch, struct sock_filter *out, size_t room, size_t *length,
		  struct error *err)
{
	size_t used = 0;
	int ret = seccomp_export_bpf(compilation->context, scratch);

	if (ret < 0)
		return error_set(err, -ret, "seccomp", "", "the profile cannot be compiled: %s", strerror(-ret));
	if (lseek(scratch, 0, SEEK_SET) < 0)
		return error_errno(err, "seccomp", "", "reading the filter");
	for (ssize_t got; (got = read(scratch, (char *)out + used, room * sizeof(*out) - used)) != 0; used += (size_t)got)
		if (got < 0)
			return error_errno(err, "seccomp", "", "reading the filter");
	*length = used / sizeof(*out);
	/* Also when there was no room for all of it. */
	if (*length == 0 || *length == room)
		return error_set(err, E2BIG, "seccomp", "", "the filter has more than the %d instructions that the kernel takes",
				 BPF_MAXINSNS);
	return 0;
}

static int assemble(const struct compilation *compilation, int scratch, struct program *program, struct error *err)
{
	size_t prefix = prefix_make(compilation, program->instructions);
	size_t length = 0;
	int ret;

	if (prefix == PREFIX_MAX)
		return error_set(err, E2BIG, "seccomp", "", "too many architectures and new system calls");
	ret = export(compilation, scratch, program->instructions + prefix, BPF_MAXINSNS - prefix, &length, err);
	if (ret < 0)
		return ret;
	memcpy(program->header.magic, SECCOMP_FILTER_MAGIC, sizeof(program->header.magic));
	program->header.flags = compilation->flags;
	program->header.length = (uint32_t)(prefix + length);
	return 0;
}

static int read_profile(const struct task *task, const struct fields *top, struct compilation *compilation, struct error *err)
{
	struct fields linux_part = { "", top->arena, "linux", top->object };
	struct fields profile = { "", top->arena, "", top->object };
	int ret;

	if (task->whole_config && ((ret = field_object(top, "linux", REQUIRED, &linux_part.object, err)) < 0 ||
				   (ret = field_object(&linux_part, "seccomp", REQUIRED, &profile.object, err)) < 0))
		return ret;
	return profile_read(compilation, &profile, err);
}

static int compile(const struct task *task, struct program *program, struct error *err)
{
	struct compilation compilation = { .around = &task->around };
	struct arena arena = { 0 };
	struct fields top = { "", &arena, "", NULL };
	int ret = input_read(STDIN_FILENO, &top.object, err);

	if (ret == 0)
		ret = read_profile(task, &top, &compilation, err);
	if (ret == 0)
		ret = assemble(&compilation, task->scratch, program, err);
	if (compilation.context != NULL)
		seccomp_release(compilation.context);
	json_decref(top.object);
	arena_free(&arena);
	return ret;
}

static int write_out(const struct program *program, struct error *err)
{
	const char *bytes = (const char *)program;
	size_t left = sizeof(program->header) + program->header.length * sizeof(program->instructions[0]);

	while (left > 0) {
		ssize_t written = write(STDOUT_FILENO, bytes, left);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return error_errno(err, "seccomp", "", "cannot write the filter");
		bytes += written;
		left -= (size_t)written;
	}
	return 0;
}

int main(int count, char **arguments)
{
	static struct program program;
	struct error err = { 0 };
	struct task task = { 0 };
	int ret = parse_arguments(count, arguments, &task, &err);

	/* What the library asks the kernel is asked now. */
	seccomp_api_get();
	task.scratch = memfd_create("filter", MFD_CLOEXEC);
	if (ret == 0 && task.scratch < 0)
		ret = error_errno(&err, "seccomp", "", "no file in memory");
	if (ret < 0 || (ret = confine(&err)) < 0 || (ret = compile(&task, &program, &err)) < 0 ||
	    (ret = write_out(&program, &err)) < 0) {
		dprintf(STDERR_FILENO, "%s\n", err.message);
		return 1;
	}
	return 0;
}
