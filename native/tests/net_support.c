#include "net_support.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

const char net_directory[] = "/run";

static char *next_buffer(void)
{
	static char buffers[128][256];
	static int next;
	return buffers[next++ % 128];
}

static void loopback_up(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0)
		abort();
	close(fd);
}

void net_begin(void)
{
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", net_directory, "tmpfs", 0, NULL) < 0) {
		printf("needs root and namespaces\n");
		exit(SKIPPED);
	}
	signal(SIGPIPE, SIG_IGN);
	loopback_up();
}

const char *net_namespace(const char *name)
{
	char *path = next_buffer();
	int status;

	snprintf(path, 256, "%s/netns-%s", net_directory, name);
	close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	pid_t child = fork();
	if (child == 0) {
		if (unshare(CLONE_NEWNET) < 0)
			_exit(1);
		loopback_up();
		_exit(mount("/proc/self/ns/net", path, NULL, MS_BIND, NULL) < 0);
	}
	if (waitpid(child, &status, 0) != child || status != 0)
		abort();
	return path;
}

void net_unpin(const char *name)
{
	char path[256];
	snprintf(path, sizeof(path), "%s/netns-%s", net_directory, name);
	if (umount2(path, MNT_DETACH) < 0 || unlink(path) < 0)
		abort();
}

static const char *program(void)
{
	static char path[4096];
	const char *build = getenv("BERTH_BUILD");
	snprintf(path, sizeof(path), "%s/berth-net", build == NULL ? "../dist" : build);
	return path;
}

static void execute(const char *command, const char *container, const char *netns, int in, int out)
{
	dup2(in, 0);
	dup2(out, 1);
	setenv("CNI_COMMAND", command, 1);
	setenv("CNI_IFNAME", "eth0", 1);
	setenv("CNI_PATH", "/nowhere", 1);
	if (container != NULL)
		setenv("CNI_CONTAINERID", container, 1);
	if (netns != NULL)
		setenv("CNI_NETNS", netns, 1);
	execl(program(), "berth-net", (char *)NULL);
	_exit(127);
}

struct call net_call(const char *command, const char *container, const char *netns, const char *config)
{
	struct call call = { 0 };
	int in[2], out[2], status;
	char text[8192];
	size_t used = 0;

	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
		abort();
	pid_t child = fork();
	if (child == 0)
		execute(command, container, netns, in[0], out[1]);
	close(in[0]);
	close(out[1]);
	if (write(in[1], config, strlen(config)) < 0)
		perror("write");
	close(in[1]);
	for (ssize_t got; (got = read(out[0], text + used, sizeof(text) - used)) > 0;)
		used += (size_t)got;
	close(out[0]);
	call.status = waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	call.output = json_loadb(text, used, 0, NULL);
	return call;
}

void call_free(struct call *call)
{
	json_decref(call->output);
	call->output = NULL;
}

bool call_failed(struct call *call, int code)
{
	bool as_wanted = call->status == 1 && json_integer_value(json_object_get(call->output, "code")) == code &&
			 json_string_length(json_object_get(call->output, "msg")) > 0;
	if (!as_wanted) {
		printf("status %d: ", call->status);
		json_dumpf(call->output, stdout, 0);
		printf("\n");
	}
	call_free(call);
	return as_wanted;
}

const char *net_add(const char *container, const char *netns, const char *config)
{
	char *address = next_buffer();
	struct call call = net_call("ADD", container, netns, config);
	const char *text = json_string_value(
		json_object_get(json_array_get(json_object_get(call.output, "ips"), 0), "address"));

	if (call.status != 0 || text == NULL) {
		json_dumpf(call.output, stdout, 0);
		printf("\n");
	}
	check("ADD succeeds with an address", call.status == 0 && text != NULL);
	snprintf(address, 256, "%.*s", (int)strcspn(text, "/"), text);
	call_free(&call);
	return address;
}

bool net_delete(const char *container, const char *netns, const char *config)
{
	struct call call = net_call("DEL", container, netns, config);
	bool silent = call.status == 0 && call.output == NULL;
	if (!silent) {
		json_dumpf(call.output, stdout, 0);
		printf("\n");
	}
	call_free(&call);
	return silent;
}

static size_t list(const char *directory, char *text, size_t used, size_t size)
{
	struct dirent **entries;
	int count = scandir(directory, &entries, NULL, alphasort);
	for (int i = 0; i < count; i++) {
		/* What was given last is remembered on purpose. */
		if (entries[i]->d_name[0] != '.' && strncmp(entries[i]->d_name, "last.", 5) != 0 && used < size)
			used += (size_t)snprintf(text + used, size - used, "%s/%s\n", directory, entries[i]->d_name);
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
	return used;
}

void net_snapshot(char *text, size_t size)
{
	char path[256];
	size_t used = 0;
	struct if_nameindex *links = if_nameindex();

	text[0] = '\0';
	for (struct if_nameindex *at = links; at != NULL && at->if_index != 0 && used < size; at++)
		used += (size_t)snprintf(text + used, size - used, "%s\n", at->if_name);
	if_freenameindex(links);
	snprintf(path, sizeof(path), "%s/data/net", net_directory);
	used = list(path, text, used, size);
	snprintf(path, sizeof(path), "%s/data/net/attachments", net_directory);
	used = list(path, text, used, size);
	/* The host ports; without nft the other parts are still compared. */
	FILE *rules = popen("nft list maps 2>/dev/null", "re");
	if (rules != NULL && used < size) {
		used += fread(text + used, 1, size - used - 1, rules);
		text[used] = '\0';
		pclose(rules);
	}
}

static void enter(const char *netns)
{
	int fd = netns == NULL ? -1 : open(netns, O_RDONLY | O_CLOEXEC);
	if (netns != NULL && (fd < 0 || setns(fd, CLONE_NEWNET) < 0))
		_exit(1);
}

static socklen_t parse(const char *address, int port, struct sockaddr_storage *to)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)to;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)to;

	memset(to, 0, sizeof(*to));
	if (strchr(address, ':') == NULL) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		inet_pton(AF_INET, address, &v4->sin_addr);
		return sizeof(*v4);
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons((uint16_t)port);
	inet_pton(AF_INET6, address, &v6->sin6_addr);
	return sizeof(*v6);
}

static void serve(int listener)
{
	for (;;) {
		struct sockaddr_storage peer;
		socklen_t size = sizeof(peer);
		char text[INET6_ADDRSTRLEN];
		int client = accept4(listener, (struct sockaddr *)&peer, &size, SOCK_CLOEXEC);
		if (client < 0)
			_exit(1);
		const void *address = peer.ss_family == AF_INET ? (void *)&((struct sockaddr_in *)&peer)->sin_addr
								: (void *)&((struct sockaddr_in6 *)&peer)->sin6_addr;
		inet_ntop(peer.ss_family, address, text, sizeof(text));
		if (write(client, text, strlen(text)) < 0)
			perror("write");
		close(client);
	}
}

pid_t net_serve(const char *netns, const char *address, int port)
{
	int ready[2];
	char byte;
	if (pipe2(ready, O_CLOEXEC) < 0)
		abort();
	pid_t child = fork();
	if (child == 0) {
		struct sockaddr_storage to;
		const int on = 1;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		enter(netns);
		socklen_t size = parse(address, port, &to);
		int listener = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		if (bind(listener, (struct sockaddr *)&to, size) < 0 || listen(listener, 8) < 0 || write(ready[1], "r", 1) != 1)
			_exit(1);
		close(ready[1]);
		serve(listener);
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		abort();
	close(ready[0]);
	return child;
}

void net_stop(pid_t server)
{
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
}

const char *net_ask(const char *netns, const char *address, int port)
{
	char *answer = next_buffer();
	int result[2];
	size_t used = 0;

	if (pipe2(result, O_CLOEXEC) < 0)
		abort();
	pid_t child = fork();
	if (child == 0) {
		struct sockaddr_storage to;
		/* Bounds how long a broken network holds the test up; a working one answers at once. */
		const struct timeval limit = { .tv_sec = 5 };
		char text[256];
		enter(netns);
		socklen_t size = parse(address, port, &to);
		int fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
		if (connect(fd, (struct sockaddr *)&to, size) < 0)
			_exit(1);
		for (ssize_t got; (got = read(fd, text, sizeof(text))) > 0;) {
			if (write(result[1], text, (size_t)got) < 0)
				_exit(1);
		}
		_exit(0);
	}
	close(result[1]);
	for (ssize_t got; (got = read(result[0], answer + used, 255 - used)) > 0;)
		used += (size_t)got;
	answer[used] = '\0';
	close(result[0]);
	waitpid(child, NULL, 0);
	return answer;
}
