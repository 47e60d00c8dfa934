/* The unpacker's server, by its socket and its standard input. */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unpack_support.h"

struct server {
	pid_t pid;
	int requests;
	char directory[48];
	char path[64];
	char reported[64];
};

static void start(struct server *server)
{
	const char *build = getenv("BERTH_BUILD");
	char program[4096];
	int in[2], out[2];

	snprintf(program, sizeof(program), "%s/berth-unpack", build == NULL ? "../dist" : build);
	snprintf(server->directory, sizeof(server->directory), "/tmp/berth-serve-test-XXXXXX");
	if (mkdtemp(server->directory) == NULL || pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
		abort();
	snprintf(server->path, sizeof(server->path), "%s/socket", server->directory);
	server->pid = fork();
	if (server->pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		setenv("ASAN_OPTIONS", "detect_leaks=0", 1);
		execl(program, "berth-unpack", "serve", server->path, NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	server->requests = in[1];
	ssize_t got = read(out[0], server->reported, sizeof(server->reported) - 1);
	server->reported[got < 0 ? 0 : got] = '\0';
	close(out[0]);
}

static int connect_to(const struct server *server)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	memcpy(address.sun_path, server->path, strlen(server->path) + 1);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		abort();
	return fd;
}

/* `length` is what the header claims. */
static void ask(int fd, const char *arguments, size_t size, uint32_t length)
{
	uint32_t number = htobe32(length);

	if (write(fd, &number, sizeof(number)) != sizeof(number) || write(fd, arguments, size) != (ssize_t)size)
		abort();
}

/* Reads up to the line that ends a job, or to the end of the connection. */
static const char *answer(int fd)
{
	static char text[8192];
	size_t used = 0;

	while (used < sizeof(text) - 1) {
		ssize_t got = read(fd, text + used, sizeof(text) - 1 - used);
		if (got <= 0)
			break;
		used += (size_t)got;
		text[used] = '\0';
		if (strstr(text, "\nexit ") != NULL || strstr(text, "\nsignal ") != NULL)
			break;
	}
	text[used] = '\0';
	return text;
}

static void a_job(const struct server *server)
{
	char arguments[128];
	int fd = connect_to(server);
	int length = snprintf(arguments, sizeof(arguments), "check%c%s", 0, server->directory) + 1;

	ask(fd, arguments, (size_t)length, (uint32_t)length);
	const char *said = answer(fd);
	CHECK(strncmp(said, "1\n{\"unpackedBytes\":", 19) == 0);
	CHECK(strstr(said, "}\nexit 0\n") != NULL);
	close(fd);
}

static void headers_out_of_order(const struct server *server)
{
	static const struct {
		const char *text;
		size_t size;
		uint32_t length;
	} cases[] = {
		{ "check", 5, 5 },            /* does not end in NUL */
		{ "", 0, 0 },
		{ "check", 6, 1 << 20 },      /* more than there may be */
		{ "check", 6, 100 },          /* more than there is */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int fd = connect_to(server);
		ask(fd, cases[i].text, cases[i].size, cases[i].length);
		shutdown(fd, SHUT_WR);
		const char *said = answer(fd);
		CHECK(strstr(said, "the command line is not in order") != NULL);
		CHECK(strstr(said, "\nexit 1\n") != NULL);
		close(fd);
	}
}

/* Waits in its header, which never comes. */
static void killed_by_number(const struct server *server)
{
	char number[32] = { 0 };
	int fd = connect_to(server);

	if (read(fd, number, sizeof(number) - 1) <= 0 || strchr(number, '\n') == NULL)
		abort();
	/* In two parts, behind one that is nobody's. */
	if (write(server->requests, "999999\n", 7) != 7 || write(server->requests, number, strlen(number) - 1) < 0 ||
	    write(server->requests, "\n", 1) != 1)
		abort();
	char text[64] = { 0 };
	CHECK(read(fd, text, sizeof(text) - 1) > 0);
	CHECK(strcmp(text, "signal 9\n") == 0);
	close(fd);
}

static pid_t job_of(const struct server *server)
{
	char path[64];
	int pid = 0;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", server->pid, server->pid);
	FILE *file = fopen(path, "re");
	if (file == NULL || fscanf(file, "%d", &pid) != 1)
		pid = 0;
	if (file != NULL)
		fclose(file);
	return pid;
}

static bool gone(const struct server *server, pid_t pid)
{
	for (int i = 0; i < 2000; i++) {
		if (kill(pid, 0) < 0 && errno == ESRCH && job_of(server) == 0)
			return true;
		usleep(5000);
	}
	return false;
}

static void killed_by_closing(const struct server *server)
{
	char number[32];
	int fd = connect_to(server);

	CHECK(read(fd, number, sizeof(number)) > 0);
	pid_t pid = job_of(server);
	CHECK(pid > 0);
	close(fd);
	CHECK(gone(server, pid));
}

/* With it go the jobs. */
static void the_end(const struct server *server)
{
	char number[32];
	int status;
	int fd = connect_to(server);

	CHECK(read(fd, number, sizeof(number)) > 0);
	pid_t job = job_of(server);
	close(server->requests);
	CHECK(waitpid(server->pid, &status, 0) == server->pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
	CHECK(gone(server, job));
	close(fd);
}

int main(void)
{
	struct server server;
	struct stat status;

	signal(SIGPIPE, SIG_IGN);
	start(&server);
	if (!CHECK(strcmp(server.reported, "{}\n") == 0))
		return unpack_finish();
	CHECK(stat(server.path, &status) == 0 && (status.st_mode & 0777) == 0600);
	a_job(&server);
	headers_out_of_order(&server);
	killed_by_number(&server);
	killed_by_closing(&server);
	the_end(&server);
	unlink(server.path);
	rmdir(server.directory);
	return unpack_finish();
}
