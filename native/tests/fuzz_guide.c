#include "fuzz_guide.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EDGES 65536
#define CORPUS_MAX 20000
#define DEFAULT_SECONDS 8
#define HANG_SECONDS 30
/* Far more than any of the parsers needs under the sanitizers. */
#define MEMORY_MAX_KIB (1024 * 1024)
#define WRONG 98
#define MEMORY 97

/* Shared with the process that tries the inputs. */
struct shared {
	size_t length;
	uint8_t input[FUZZ_INPUT_MAX];
	uint8_t edges[EDGES];
};

/* The one that does, its two ends of pipes, and how many more inputs it takes. */
struct trier {
	pid_t pid;
	int ask;
	int answer;
	unsigned int left;
};

static struct shared *shared;
static uint8_t *edges;
static struct trier trier;
static uint8_t known[EDGES];
static uint64_t state;

struct corpus {
	struct bytes *inputs;
	size_t count;
	size_t room;
};

void __sanitizer_cov_trace_pc(void);

/* Two places in a row, as they are run in a thread, make an edge; it is counted up to 255. */
void __sanitizer_cov_trace_pc(void)
{
	static __thread uintptr_t previous;
	uintptr_t here = (uintptr_t)__builtin_return_address(0);

	if (edges == NULL)
		return;
	uint8_t *edge = &edges[((here * UINT64_C(0x9e3779b97f4a7c15)) >> 48 ^ previous) % EDGES];
	*edge = (uint8_t)(*edge + (*edge < 255));
	previous = ((here * UINT64_C(0x9e3779b97f4a7c15)) >> 49) % EDGES;
}

uint32_t fuzz_number(uint32_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return below == 0 ? 0 : (uint32_t)(state >> 16) % below;
}

/* 1, 2, 3, 4 to 7, 8 to 15, 16 to 31, 32 to 127, more: a loop that runs once more is no news. */
static uint8_t bucket(uint8_t count)
{
	static const uint8_t limits[] = { 1, 2, 3, 7, 15, 31, 127, 255 };

	for (unsigned int i = 0; i < sizeof(limits); i++)
		if (count <= limits[i])
			return (uint8_t)(count == 0 ? 0 : 1u << i);
	return 0;
}

static bool has_news(void)
{
	bool news = false;

	for (size_t i = 0; i < EDGES; i++) {
		if (edges[i] == 0)
			continue;
		uint8_t now = bucket(edges[i]);
		news |= (now & ~known[i]) != 0;
		known[i] |= now;
	}
	return news;
}

static void keep(struct corpus *corpus, const struct bytes *input)
{
	if (corpus->count == corpus->room) {
		corpus->room = corpus->room == 0 ? 64 : corpus->room * 2;
		corpus->inputs = reallocarray(corpus->inputs, corpus->room, sizeof(*corpus->inputs));
		if (corpus->inputs == NULL)
			abort();
	}
	struct bytes *copy = &corpus->inputs[corpus->count++];
	*copy = (struct bytes){ 0 };
	bytes_add(copy, input->data, input->length);
}

/* A byte asks for a run of the input that is in the shared memory; one answers. */
static void answer(const struct fuzz_target *target, int ask, int reply)
{
	struct rusage usage;
	char byte;

	while (read(ask, &byte, 1) == 1) {
		const struct bytes input = { .data = shared->input, .length = shared->length };
		alarm(HANG_SECONDS);
		bool right = target->run(&input);
		alarm(0);
		if (getrusage(RUSAGE_SELF, &usage) == 0 && usage.ru_maxrss > MEMORY_MAX_KIB)
			_exit(MEMORY);
		if (!right)
			_exit(WRONG);
		if (write(reply, &byte, 1) != 1)
			break;
	}
	_exit(0);
}

static void start(const struct fuzz_target *target)
{
	int ask[2], reply[2];

	fflush(stdout);
	if (pipe2(ask, O_CLOEXEC) < 0 || pipe2(reply, O_CLOEXEC) < 0)
		abort();
	trier = (struct trier){ .pid = fork(), .ask = ask[1], .answer = reply[0], .left = target->together };
	if (trier.pid < 0)
		abort();
	if (trier.pid == 0) {
		close(ask[1]);
		close(reply[0]);
		answer(target, ask[0], reply[1]);
	}
	close(ask[0]);
	close(reply[1]);
}

/* Its wait status, 0 when all was well. */
static int end(void)
{
	int status = 0;

	if (trier.pid <= 0)
		return 0;
	close(trier.ask);
	close(trier.answer);
	if (waitpid(trier.pid, &status, 0) != trier.pid)
		abort();
	trier = (struct trier){ 0 };
	return status;
}

static void save(const struct fuzz_target *target, const struct bytes *input, int status)
{
	const char *directory = getenv("BERTH_FUZZ_KEEP");
	char path[4096];

	snprintf(path, sizeof(path), "%s/berth-fuzz-%s-XXXXXX", directory == NULL ? "/tmp" : directory, target->name);
	int fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0 || write(fd, input->data, input->length) != (ssize_t)input->length)
		abort();
	close(fd);
	const char *what = WIFSIGNALED(status) ? (WTERMSIG(status) == SIGALRM ? "hangs" : "is killed by a signal")
			   : WEXITSTATUS(status) == WRONG  ? "does what it may not"
			   : WEXITSTATUS(status) == MEMORY ? "takes too much memory"
							   : "ends with a report, or leaves something wrong behind";
	printf("%s %s (wait status %x); the input is in %s, to be tried again with BERTH_FUZZ_INPUT\n", target->name, what,
	       (unsigned int)status, path);
}

static bool try(const struct fuzz_target *target, const struct bytes *input)
{
	int status = 0;
	char byte = 0;

	memset(edges, 0, EDGES);
	memcpy(shared->input, input->data, input->length);
	shared->length = input->length;
	bool good = target->before == NULL || target->before();
	if (trier.pid == 0)
		start(target);
	bool answered = write(trier.ask, &byte, 1) == 1 && read(trier.answer, &byte, 1) == 1;
	if (!answered || --trier.left == 0)
		status = end();
	good = (target->after == NULL || target->after()) && good && answered && status == 0;
	if (!good)
		save(target, input, status);
	return good;
}

void fuzz_insert(struct bytes *input, size_t at, const void *data, size_t length)
{
	if (length == 0 || input->length + length > FUZZ_INPUT_MAX)
		return;
	uint8_t *copy = malloc(length);
	if (copy == NULL)
		abort();
	memcpy(copy, data, length);
	bytes_add(input, copy, length);
	memmove(input->data + at + length, input->data + at, input->length - length - at);
	memcpy(input->data + at, copy, length);
	free(copy);
}

void fuzz_remove(struct bytes *input, size_t at, size_t length)
{
	memmove(input->data + at, input->data + at + length, input->length - at - length);
	input->length -= length;
}

void fuzz_change_bytes(struct bytes *input)
{
	static const uint8_t odd[] = { 0, 1, '/', '.', '0', '7', '8', '9', 0x7f, 0x80, 0xff, ' ', '\n', '=', '5', '1', '2', 'R', 'G', 'P', 'E' };
	if (input->length == 0)
		bytes_add(input, "\0", 1);
	size_t at = fuzz_number((uint32_t)input->length);
	size_t length = 1 + fuzz_number(fuzz_number(4) == 0 ? 600 : 12);

	if (at + length > input->length)
		length = input->length - at;
	switch (fuzz_number(7)) {
	case 0:
		input->data[at] ^= (uint8_t)(1u << fuzz_number(8));
		break;
	case 1:
		input->data[at] = odd[fuzz_number(sizeof(odd))];
		break;
	case 2:
		memset(input->data + at, odd[fuzz_number(sizeof(odd))], length);
		break;
	case 3:
		memmove(input->data + fuzz_number((uint32_t)(input->length - length + 1)), input->data + at, length);
		break;
	case 4:
		fuzz_insert(input, fuzz_number((uint32_t)input->length + 1), input->data + at, length);
		break;
	case 5:
		fuzz_remove(input, at, length);
		break;
	default:
		input->data[at] = (uint8_t)(input->data[at] + fuzz_number(9) - 4);
	}
}

static void make(const struct fuzz_target *target, const struct corpus *corpus, struct bytes *input)
{
	/* The latest finds are the most promising. */
	size_t recent = corpus->count > 64 && fuzz_number(2) == 0 ? 64 : corpus->count;
	const struct bytes *from = &corpus->inputs[corpus->count - 1 - fuzz_number((uint32_t)recent)];

	input->length = 0;
	bytes_add(input, from->data, from->length);
	for (uint32_t changes = 1u << fuzz_number(5); changes > 0; changes--) {
		if (target->change != NULL && fuzz_number(3) != 0)
			target->change(input);
		else
			fuzz_change_bytes(input);
	}
	if (target->mend != NULL && fuzz_number(16) != 0)
		target->mend(input);
}

static bool plant(const struct fuzz_target *target, struct corpus *corpus)
{
	struct bytes input = { 0 };
	bool good = true;

	for (unsigned int i = 0; good && target->seed(i, &input); i++) {
		good = try(target, &input);
		(void)has_news();
		keep(corpus, &input);
		input.length = 0;
	}
	bytes_free(&input);
	return good;
}

static bool try_file(const struct fuzz_target *target, const char *path)
{
	struct bytes input = { 0 };
	uint8_t buffer[4096];
	FILE *file = fopen(path, "re");

	for (size_t got; file != NULL && (got = fread(buffer, 1, sizeof(buffer), file)) > 0;)
		bytes_add(&input, buffer, got);
	bool good = file != NULL && input.length <= FUZZ_INPUT_MAX && try(target, &input);
	good = end() == 0 && good;
	if (file != NULL)
		fclose(file);
	bytes_free(&input);
	return good;
}

static size_t count_edges(void)
{
	size_t count = 0;

	for (size_t i = 0; i < EDGES; i++)
		count += known[i] != 0;
	return count;
}

static bool search(const struct fuzz_target *target, time_t until)
{
	struct corpus corpus = { 0 };
	struct bytes input = { 0 };
	bool good = plant(target, &corpus);
	size_t seeds = corpus.count;
	size_t planted = count_edges();
	unsigned long long tries = 0;

	while (good && (tries == 0 || time(NULL) < until)) {
		make(target, &corpus, &input);
		good = try(target, &input);
		tries++;
		if (has_news() && corpus.count < CORPUS_MAX)
			keep(&corpus, &input);
	}
	good = end() == 0 && good;
	printf("%s: %llu inputs, %zu kept beside %zu seeds, %zu edges, of which %zu by the seeds\n", target->name, tries,
	       corpus.count - seeds, seeds, count_edges(), planted);
	for (size_t i = 0; i < corpus.count; i++)
		bytes_free(&corpus.inputs[i]);
	free(corpus.inputs);
	bytes_free(&input);
	return good;
}

bool fuzz(const struct fuzz_target *target)
{
	const char *seconds = getenv("BERTH_FUZZ_SECONDS");
	const char *seed = getenv("BERTH_FUZZ_SEED");
	const char *path = getenv("BERTH_FUZZ_INPUT");
	uint64_t start = seed == NULL ? (uint64_t)time(NULL) : strtoull(seed, NULL, 10);

	if (shared == NULL)
		shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		abort();
	edges = shared->edges;
	signal(SIGPIPE, SIG_IGN);
	memset(known, 0, sizeof(known));
	state = start * UINT64_C(0x9e3779b97f4a7c15) | 1;
	printf("%s: BERTH_FUZZ_SEED=%llu\n", target->name, (unsigned long long)start);
	if (path != NULL)
		return try_file(target, path);
	return search(target, time(NULL) + (seconds == NULL ? DEFAULT_SECONDS : atoi(seconds)));
}
