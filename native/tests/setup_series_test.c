/*
 * Many containers one after the other: each succeeds, nothing accumulates. The times are printed for
 * people; no figure decides the test.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "setup_support.h"

#define ROUNDS 200

static struct setup_outcome outcome;

static int count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count;
}

static int count_mounts(void)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t size = 0;
	int count = 0;

	while (getline(&line, &size, file) >= 0)
		count++;
	free(line);
	fclose(file);
	return count;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

static int compare(const void *one, const void *other)
{
	double a = *(const double *)one;
	double b = *(const double *)other;

	return a < b ? -1 : a > b;
}

static void run_series(const struct setup_fixture *fixture, const char *title, const struct setup_case *what)
{
	static double created[ROUNDS];
	static double total[ROUNDS];
	int descriptors = count_descriptors();
	int mounts = count_mounts();
	int succeeded = 0;

	for (int round = 0; round < ROUNDS; round++) {
		double start;

		setup_reset(fixture);
		start = now();
		setup_run(fixture, what, &outcome);
		total[round] = now() - start;
		created[round] = outcome.created_after;
		succeeded += outcome.created;
	}
	expect(title, succeeded == ROUNDS);
	expect("  no descriptor is left", count_descriptors() == descriptors);
	expect("  no mount is left", count_mounts() == mounts);
	qsort(created, ROUNDS, sizeof(double), compare);
	qsort(total, ROUNDS, sizeof(double), compare);
	printf("  created p50 %.2f ms, p90 %.2f ms; to the end p50 %.2f ms, p90 %.2f ms\n", created[ROUNDS / 2],
	       created[ROUNDS * 9 / 10], total[ROUNDS / 2], total[ROUNDS * 9 / 10]);
}

int main(void)
{
	struct setup_fixture fixture;
	struct setup_case what = {
		.args = "[\"/bin/true\"]",
		.linux_members = "\"maskedPaths\":[\"/proc/asound\",\"/proc/acpi\",\"/proc/interrupts\",\"/proc/kcore\","
				 "\"/proc/keys\",\"/proc/latency_stats\",\"/proc/timer_list\",\"/proc/timer_stats\","
				 "\"/proc/sched_debug\",\"/proc/scsi\",\"/sys/firmware\",\"/sys/devices/virtual/powercap\"],"
				 "\"readonlyPaths\":[\"/proc/bus\",\"/proc/fs\",\"/proc/irq\",\"/proc/sys\",\"/proc/sysrq-trigger\"],",
		.berth = ",\"user\":{\"spec\":\"alice\"}",
		.process = "\"noNewPrivileges\":true,\"capabilities\":{\"bounding\":[\"CAP_CHOWN\",\"CAP_KILL\"],"
			   "\"permitted\":[\"CAP_CHOWN\"],\"effective\":[\"CAP_CHOWN\"]},",
	};

	setup_require_root();
	setup_begin(&fixture);
	run_series(&fixture, "all namespaces new", &what);
	what.namespaces = "[{\"type\":\"mount\"},{\"type\":\"pid\"},{\"type\":\"cgroup\"},{\"type\":\"ipc\",\"path\":\"/proc/self/ns/ipc\"},"
			  "{\"type\":\"uts\",\"path\":\"/proc/self/ns/uts\"},{\"type\":\"network\",\"path\":\"/proc/self/ns/net\"}]";
	run_series(&fixture, "in the namespaces of a pod", &what);
	setup_end(&fixture);
	return 0;
}
