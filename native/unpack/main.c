/*
 * berth-unpack: one layer per process.
 *
 *   berth-unpack layer --dest DIR [--skeleton FILE] [--max-bytes N] [--max-entries N] [--max-ratio N] [--max-path N]   < stream
 *   berth-unpack pack DIR FILE            > tar, made of a layer's directory and its skeleton
 *   berth-unpack parents DIR LAYER...     see parents.h
 *   berth-unpack check DIR                counts what a tree holds
 *   berth-unpack sync DIR
 *   berth-unpack remove DIR
 *   berth-unpack serve PATH               carries out any of these for whoever connects: see serve.h
 *
 * One line of JSON on standard output (of `pack`: on standard error). Exit status 0, or 1 with {"error":{step,path,errno,errnoName,message}}.
 * Steps: args, confine, read, decompress, archive, entry, limit, write, sync, remove, skeleton, tree, check, parents, serve.
 */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/scope.h"
#include "confine.h"
#include "figures.h"
#include "layer.h"
#include "pack.h"
#include "parents.h"
#include "placement.h"
#include "remove.h"
#include "report.h"
#include "serve.h"

#define DEFAULT_MAX_BYTES (UINT64_C(128) << 30)
#define DEFAULT_MAX_ENTRIES UINT64_C(4000000)
/* Deflate cannot do more than 1032; only runs of one byte come near. */
#define DEFAULT_MAX_RATIO UINT64_C(1000)

/* For the stream's window and buffers, the archive reader and what is known of the tree. */
#define MEMORY_BYTES (UINT64_C(512) << 20)
#define MEMORY_PER_ENTRY UINT64_C(32)

struct layer_arguments {
	const char *dest;
	const char *skeleton; /* NULL: none is wanted */
	struct layer_limits limits;
};

static int parse_number(const char *name, const char *text, uint64_t *out, struct error *err)
{
	char *end;
	errno = 0;
	unsigned long long value = strtoull(text, &end, 10);
	if (errno != 0 || *end != '\0' || text[0] < '0' || text[0] > '9' || value == 0)
		return error_set(err, EINVAL, "args", name, "`%s` is not a positive number", text);
	*out = value;
	return 0;
}

static int parse_layer(int count, char **arguments, struct layer_arguments *parsed, struct error *err)
{
	for (int i = 0; i < count; i += 2) {
		const char *name = arguments[i];
		const char *value = i + 1 < count ? arguments[i + 1] : NULL;
		int result = 0;
		if (value == NULL)
			return error_set(err, EINVAL, "args", name, "a value is missing");
		if (strcmp(name, "--dest") == 0)
			parsed->dest = value;
		else if (strcmp(name, "--skeleton") == 0)
			parsed->skeleton = value;
		else if (strcmp(name, "--max-bytes") == 0)
			result = parse_number(name, value, &parsed->limits.stream.max_bytes, err);
		else if (strcmp(name, "--max-entries") == 0)
			result = parse_number(name, value, &parsed->limits.max_entries, err);
		else if (strcmp(name, "--max-ratio") == 0)
			result = parse_number(name, value, &parsed->limits.stream.max_ratio, err);
		else if (strcmp(name, "--max-path") == 0)
			result = parse_number(name, value, &parsed->limits.max_path, err);
		else
			result = error_set(err, EINVAL, "args", name, "unknown option");
		if (result < 0)
			return result;
	}
	return parsed->dest == NULL ? error_set(err, EINVAL, "args", "--dest", "the destination is missing") : 0;
}

/* What all else is bounded by, should it be missed: the layer's own limit of memory is half of it. */
static int limit_memory(uint64_t max_entries, struct error *err)
{
#ifndef __SANITIZE_ADDRESS__ /* whose shadow counts as memory */
	uint64_t entries = max_entries < (UINT64_C(1) << 40) ? max_entries : UINT64_C(1) << 40;
	rlim_t bytes = MEMORY_BYTES + MEMORY_PER_ENTRY * entries;
	const struct rlimit limit = { bytes, bytes };
	if (setrlimit(RLIMIT_DATA, &limit) < 0)
		return error_errno(err, "confine", "", "cannot limit the memory");
#else
	(void)max_entries;
	(void)err;
#endif
	return 0;
}

static int run_layer(int count, char **arguments, struct error *err)
{
	struct layer_result result;
	struct layer_arguments parsed = {
		.limits = {
			.stream = { .max_bytes = DEFAULT_MAX_BYTES, .max_ratio = DEFAULT_MAX_RATIO },
			.max_entries = DEFAULT_MAX_ENTRIES,
			.max_path = UINT64_MAX, /* what is too long for the tree is refused there */
			.max_memory = MEMORY_BYTES / 2,
		},
	};
	int status = parse_layer(count, arguments, &parsed, err);
	if (status < 0)
		return status;
	umask(0);
	/* A half-unpacked layer is of no use to a berthd that starts anew, and its staging area is emptied then. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* Names in PAX headers are UTF-8 and are to stay so. Built into glibc: nothing is read from disk. */
	setlocale(LC_CTYPE, "C.UTF-8");
	placement_spread(parsed.dest);
	scope_fd int skeleton = -1;
	if (parsed.skeleton != NULL) {
		skeleton = open(parsed.skeleton, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (skeleton < 0)
			return error_errno(err, "args", parsed.skeleton, "cannot make the skeleton's file");
	}
	status = limit_memory(parsed.limits.max_entries, err);
	if (status < 0)
		return status;
	int root = confine(parsed.dest, err);
	if (root < 0)
		return root;
	status = layer_unpack(STDIN_FILENO, root, skeleton, &parsed.limits, &result, err);
	if (status < 0)
		return status;
	return report_layer(&result) < 0 ? error_errno(err, "write", "", "cannot report") : 0;
}

static int run_sync(const char *path, struct error *err)
{
	scope_fd int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, "sync", path, "cannot open the directory");
	if (syncfs(fd) < 0)
		return error_errno(err, "sync", path, "cannot flush the file system");
	return report_done() < 0 ? error_errno(err, "write", "", "cannot report") : 0;
}

static int run_check(const char *path, struct error *err)
{
	struct figures figures;
	scope_fd int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, "check", path, "cannot open the directory");
	int result = figures_of_tree(fd, &figures, err);
	if (result < 0)
		return result;
	return report_figures(&figures) < 0 ? error_errno(err, "write", "", "cannot report") : 0;
}

static int run_parents(const char *dest, int count, char **layers, struct error *err)
{
	int result = parents_make(dest, layers, (size_t)count, err);
	return result < 0 ? result : run_check(dest, err);
}

static int run_remove(const char *path, struct error *err)
{
	int result = remove_tree(path, err);
	if (result < 0)
		return result;
	return report_done() < 0 ? error_errno(err, "write", "", "cannot report") : 0;
}

static int run_pack(const char *tree_path, const char *skeleton_path, struct error *err)
{
	scope_fd int tree = open(tree_path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (tree < 0)
		return error_errno(err, "args", tree_path, "cannot open the layer");
	scope_fd int skeleton = open(skeleton_path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (skeleton < 0)
		return error_errno(err, "args", skeleton_path, "cannot open the layer's skeleton");
	return pack(tree, skeleton, STDOUT_FILENO, err);
}

static int run(int count, char **arguments, struct error *err)
{
	const char *command = count > 1 ? arguments[1] : "";

	if (strcmp(command, "layer") == 0)
		return run_layer(count - 2, arguments + 2, err);
	if (strcmp(command, "sync") == 0 && count == 3)
		return run_sync(arguments[2], err);
	if (strcmp(command, "check") == 0 && count == 3)
		return run_check(arguments[2], err);
	if (strcmp(command, "parents") == 0 && count >= 4)
		return run_parents(arguments[2], count - 3, arguments + 3, err);
	if (strcmp(command, "remove") == 0 && count == 3)
		return run_remove(arguments[2], err);
	if (strcmp(command, "pack") == 0 && count == 4)
		return run_pack(arguments[2], arguments[3], err);
	return error_set(err, EINVAL, "args", command,
			 "usage: berth-unpack layer --dest DIR | pack DIR FILE | parents DIR LAYER... | check DIR | sync DIR | remove DIR");
}

static int run_command(int count, char **arguments)
{
	struct error err = { 0 };

	if (run(count, arguments, &err) == 0)
		return 0;
	/* Standard output holds the tar then. */
	if (count > 1 && strcmp(arguments[1], "pack") == 0 && dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		return 1;
	report_error(&err);
	return 1;
}

static int run_server(const char *path)
{
	struct error err = { 0 };

	if (serve(path, run_command, &err) == 0)
		return 0;
	report_error(&err);
	return 1;
}

int main(int count, char **arguments)
{
	signal(SIGPIPE, SIG_IGN);
	bool server = count == 3 && strcmp(arguments[1], "serve") == 0;
	int status = server ? run_server(arguments[2]) : run_command(count, arguments);
	fflush(stdout);
	/* Not exit(): the reading thread may be in the middle of anything. */
	_exit(status);
}
