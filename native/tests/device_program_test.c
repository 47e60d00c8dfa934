/* The program made of device rules: its verdicts against the rules' own definition, and the kernel's word on it. */
#include <errno.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "../shim/device_program.h"

#define RULES_MAX 1500

static struct device_rule rules[RULES_MAX];
static struct bpf_insn code[DEVICE_PROGRAM_SIZE(RULES_MAX)];

/* Each letter by the last rule that names the device and the letter. */
static bool verdict_of_rules(const struct device_rule *list, size_t count, const struct bpf_cgroup_dev_ctx *wanted)
{
	for (uint32_t letter = 1; letter <= 4; letter <<= 1) {
		bool allowed = false;

		for (size_t i = 0; i < count; i++)
			if ((list[i].type == 0 || list[i].type == (wanted->access_type & 0xffff)) &&
			    (list[i].major == DEVICE_ANY || list[i].major == wanted->major) &&
			    (list[i].minor == DEVICE_ANY || list[i].minor == wanted->minor) && (list[i].access & letter) != 0)
				allowed = list[i].allow;
		if (((wanted->access_type >> 16) & letter) != 0 && !allowed)
			return false;
	}
	return true;
}

/* The few instructions that the programs are made of; another one is a failure. */
static int run_program(size_t length, const struct bpf_cgroup_dev_ctx *context)
{
	uint64_t registers[11] = { 0 };

	for (size_t at = 0; at < length; at++) {
		const struct bpf_insn *now = &code[at];
		uint64_t *target = &registers[now->dst_reg];
		uint32_t value = (uint32_t)now->imm;

		switch (now->code) {
		case BPF_LDX | BPF_MEM | BPF_W:
			memcpy(&value, (const char *)context + now->off, sizeof(value));
			*target = value;
			break;
		case BPF_ALU | BPF_MOV | BPF_X: *target = (uint32_t)registers[now->src_reg]; break;
		case BPF_ALU | BPF_OR | BPF_X: *target = (uint32_t)(*target | registers[now->src_reg]); break;
		case BPF_ALU | BPF_LSH | BPF_K: *target = (uint32_t)*target << value; break;
		case BPF_ALU64 | BPF_MOV | BPF_K: *target = value; break;
		case BPF_ALU | BPF_AND | BPF_K: *target = (uint32_t)*target & value; break;
		case BPF_ALU | BPF_RSH | BPF_K: *target = (uint32_t)*target >> value; break;
		case BPF_JMP32 | BPF_JNE | BPF_K: at += (uint32_t)*target != value ? (size_t)now->off : 0; break;
		case BPF_JMP32 | BPF_JEQ | BPF_K: at += (uint32_t)*target == value ? (size_t)now->off : 0; break;
		case BPF_JMP32 | BPF_JSET | BPF_K: at += ((uint32_t)*target & value) != 0 ? (size_t)now->off : 0; break;
		case BPF_JMP | BPF_JA: at += (size_t)now->off; break;
		case BPF_JMP | BPF_EXIT: return (int)registers[0];
		default: return -1;
		}
	}
	return -2;
}

static uint32_t next_random(uint32_t *state, uint32_t below)
{
	*state = *state * 1664525u + 1013904223u;
	return (*state >> 16) % below;
}

static size_t random_rules(uint32_t *state, struct device_rule *list)
{
	size_t count = next_random(state, 9);

	for (size_t i = 0; i < count; i++)
		list[i] = (struct device_rule){
			.allow = next_random(state, 2) == 0,
			.type = next_random(state, 3),
			.major = (int64_t[]){ DEVICE_ANY, 0, 1, 4095 }[next_random(state, 4)],
			.minor = (int64_t[]){ DEVICE_ANY, 0, 3, 1048575 }[next_random(state, 4)],
			.access = next_random(state, 2) == 0 ? DEVICE_ACCESS_ALL : 1 + next_random(state, 7),
		};
	return count;
}

static const uint32_t majors[5] = { 0, 1, 5, 136, 4095 };
static const uint32_t minors[5] = { 0, 2, 3, 5, 1048575 };

/* Every access to every kind of device that the rules can tell apart. */
static bool agree(const struct device_rule *original, size_t count, const struct device_rule *reduced, size_t left, size_t length)
{
	bool restricts = device_rules_restrict(reduced, left);

	for (uint32_t wanted = 0; wanted < 8; wanted++)
		for (uint32_t type = 1; type <= 2; type++)
			for (uint32_t device = 0; device < 25; device++) {
				struct bpf_cgroup_dev_ctx context = { wanted << 16 | type, majors[device / 5], minors[device % 5] };
				bool expected = verdict_of_rules(original, count, &context);

				if (run_program(length, &context) != expected || (!restricts && !expected))
					return false;
			}
	return true;
}

static int load(size_t length)
{
	union bpf_attr attributes;

	memset(&attributes, 0, sizeof(attributes));
	attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
	attributes.insns = (uint64_t)(uintptr_t)code;
	attributes.insn_cnt = (uint32_t)length;
	attributes.license = (uint64_t)(uintptr_t)"Apache-2.0";
	return (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof(attributes));
}

static bool kernel_has_programs(void)
{
	size_t length = device_program_write(rules, 0, code);
	int fd = load(length);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void test_random_rules(bool kernel)
{
	uint32_t state = 20261121;
	struct device_rule original[8 + DEVICE_RULES_STANDARD];
	int refused = 0, wrong = 0, longer = 0;

	for (int round = 0; round < 8000; round++) {
		size_t count = random_rules(&state, original);
		size_t left, length;
		int fd;

		if (round % 2 == 0)
			count = device_rules_complete(original, count);
		memcpy(rules, original, count * sizeof(*rules));
		left = device_rules_reduce(rules, count);
		length = device_program_write(rules, left, code);
		longer += length > DEVICE_PROGRAM_SIZE(left);
		wrong += !agree(original, count, rules, left, length);
		/* The verifier looks at structure, of which a part of the rounds shows all kinds. */
		if (!kernel || round % 20 > 1)
			continue;
		fd = load(length);
		refused += fd < 0;
		if (fd >= 0)
			close(fd);
	}
	check("the programs decide as the rules do", wrong == 0);
	check("none is longer than its room", longer == 0);
	if (kernel)
		check("the kernel takes every one", refused == 0);
}

static void test_reduction(void)
{
	static const struct device_rule all = { true, 0, DEVICE_ANY, DEVICE_ANY, DEVICE_ACCESS_ALL };
	static const struct device_rule none = { false, 0, DEVICE_ANY, DEVICE_ANY, DEVICE_ACCESS_ALL };
	static const struct device_rule null = { false, BPF_DEVCG_DEV_CHAR, 1, 3, BPF_DEVCG_ACC_WRITE };
	size_t count;

	rules[0] = all;
	count = device_rules_reduce(rules, device_rules_complete(rules, 1));
	check("everything allowed needs no program", !device_rules_restrict(rules, count));
	rules[0] = all;
	rules[1] = null;
	count = device_rules_reduce(rules, device_rules_complete(rules, 2));
	check("everything but one needs one", device_rules_restrict(rules, count));
	rules[0] = all;
	rules[1] = none;
	count = device_rules_reduce(rules, device_rules_complete(rules, 2));
	check("a rule for all clears those before", count == DEVICE_RULES_STANDARD && device_rules_restrict(rules, count));
	check("nothing at all is everything denied", device_rules_restrict(rules, 0));
}

static void test_many(void)
{
	struct timespec start, end;
	size_t length;
	int fd;

	/* Partly allowed, all of one major: the verifier has the most ways to follow. */
	for (size_t i = 0; i < RULES_MAX; i++)
		rules[i] = (struct device_rule){ true, BPF_DEVCG_DEV_BLOCK, 8, (int64_t)i, 1 + (uint32_t)i % 7 };
	length = device_program_write(rules, device_rules_reduce(rules, RULES_MAX), code);
	clock_gettime(CLOCK_MONOTONIC, &start);
	fd = load(length);
	clock_gettime(CLOCK_MONOTONIC, &end);
	check("a thousand rules are no trouble", fd >= 0);
	printf("  %zu instructions in %.1f ms\n", length,
	       (double)(end.tv_sec - start.tv_sec) * 1e3 + (double)(end.tv_nsec - start.tv_nsec) / 1e6);
	close(fd);
}

int main(void)
{
	bool kernel = kernel_has_programs();

	test_reduction();
	test_random_rules(kernel);
	if (kernel)
		test_many();
	else
		printf("  the kernel was not asked: bpf: %s\n", strerror(errno));
	return 0;
}
