/*
 * The kernel asks the program once per open or mknod, with what is wanted (struct bpf_cgroup_dev_ctx), and a
 * return value of 0 is EPERM. The program goes through the rules from the last to the first and keeps the
 * letters that are still undecided: an allowing rule takes its letters off, and when none is left the access
 * is granted; a denying rule that names one of them ends it.
 *
 * Loading is the price of every container, and nearly all of it is the verifier's, which follows each branch:
 * so rules for single devices that decide all letters, which most are, share one verdict and are one
 * comparison each.
 */
#include "device_program.h"

#include <stddef.h>

/* R_DEVICE holds the major number and the minor in MINOR_BITS, as the kernel's dev_t (linux/kdev_t.h). */
enum { R_VERDICT = BPF_REG_0, R_CONTEXT = BPF_REG_1, R_WANTED = BPF_REG_2, R_TYPE = BPF_REG_3, R_MAJOR = BPF_REG_4,
       R_DEVICE = BPF_REG_5 };
#define R_SCRATCH R_VERDICT
#define MINOR_BITS 20
#define MINOR_MASK ((1 << MINOR_BITS) - 1)

/* Jumps reach 32,767 instructions. */
#define RUN_MAX 8192

#define JUMP_UNLESS_EQUAL (BPF_JMP32 | BPF_JNE | BPF_K)
#define JUMP_IF_EQUAL (BPF_JMP32 | BPF_JEQ | BPF_K)
#define JUMP_IF_ANY_BIT (BPF_JMP32 | BPF_JSET | BPF_K)
#define JUMP (BPF_JMP | BPF_JA)

struct program {
	struct bpf_insn *code;
	size_t length;
};

/* Returns where it stands. */
static size_t put(struct program *program, uint8_t opcode, uint8_t target, uint8_t source, int16_t offset, int64_t value)
{
	program->code[program->length] = (struct bpf_insn){
		.code = opcode, .dst_reg = target & 15, .src_reg = source & 15, .off = offset,
		.imm = (int32_t)(uint32_t)value,
	};
	return program->length++;
}

static size_t put_jump(struct program *program, uint8_t opcode, uint8_t target, int64_t value)
{
	return put(program, opcode, target, 0, 0, value);
}

/* The jump at `at` leads to what is put next. */
static void land(struct program *program, size_t at)
{
	program->code[at].off = (int16_t)(program->length - at - 1);
}

static void put_load(struct program *program, uint8_t target, size_t offset)
{
	put(program, BPF_LDX | BPF_MEM | BPF_W, target, R_CONTEXT, (int16_t)offset, 0);
}

static void put_verdict(struct program *program, bool allow)
{
	put(program, BPF_ALU64 | BPF_MOV | BPF_K, R_VERDICT, 0, 0, allow);
	put(program, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

static void put_device(struct program *program)
{
	put_load(program, R_TYPE, offsetof(struct bpf_cgroup_dev_ctx, access_type));
	put(program, BPF_ALU | BPF_AND | BPF_K, R_TYPE, 0, 0, 0xffff);
	put_load(program, R_MAJOR, offsetof(struct bpf_cgroup_dev_ctx, major));
	put_load(program, R_DEVICE, offsetof(struct bpf_cgroup_dev_ctx, minor));
	put(program, BPF_ALU | BPF_MOV | BPF_X, R_SCRATCH, R_MAJOR, 0, 0);
	put(program, BPF_ALU | BPF_LSH | BPF_K, R_SCRATCH, 0, 0, MINOR_BITS);
	put(program, BPF_ALU | BPF_OR | BPF_X, R_DEVICE, R_SCRATCH, 0, 0);
}

static void put_start(struct program *program)
{
	size_t something;

	put_load(program, R_WANTED, offsetof(struct bpf_cgroup_dev_ctx, access_type));
	put(program, BPF_ALU | BPF_RSH | BPF_K, R_WANTED, 0, 0, 16);
	/* access(2) with F_OK wants nothing, and gets it. */
	something = put_jump(program, JUMP_UNLESS_EQUAL, R_WANTED, 0);
	put_verdict(program, true);
	land(program, something);
	put_device(program);
}

static bool is_simple(const struct device_rule *rule)
{
	return rule->access == DEVICE_ACCESS_ALL && rule->type != 0 && rule->major != DEVICE_ANY;
}

/* The rules that end at `end` and are as simple as that one, with its type and verdict: how many they are. */
static size_t run_length(const struct device_rule *rules, size_t end)
{
	const struct device_rule *last = &rules[end - 1];
	size_t length = 0;

	while (length < end && length < RUN_MAX && is_simple(&rules[end - 1 - length]) &&
	       rules[end - 1 - length].type == last->type && rules[end - 1 - length].allow == last->allow)
		length++;
	return length;
}

static void put_run(struct program *program, const struct device_rule *first, size_t count)
{
	size_t other_type = put_jump(program, JUMP_UNLESS_EQUAL, R_TYPE, first->type);
	size_t compare = program->length;
	size_t other_device;

	for (size_t i = 0; i < count; i++) {
		if (first[i].minor == DEVICE_ANY)
			put_jump(program, JUMP_IF_EQUAL, R_MAJOR, first[i].major);
		else
			put_jump(program, JUMP_IF_EQUAL, R_DEVICE, first[i].major << MINOR_BITS | first[i].minor);
	}
	other_device = put_jump(program, JUMP, 0, 0);
	for (size_t i = 0; i < count; i++)
		land(program, compare + i);
	put_verdict(program, first->allow);
	land(program, other_type);
	land(program, other_device);
}

/* Puts the rule's conditions, which jump when they do not hold; returns how many. */
static size_t put_conditions(struct program *program, const struct device_rule *rule, size_t jumps[3])
{
	size_t count = 0;

	if (rule->type != 0)
		jumps[count++] = put_jump(program, JUMP_UNLESS_EQUAL, R_TYPE, rule->type);
	if (rule->major != DEVICE_ANY)
		jumps[count++] = put_jump(program, JUMP_UNLESS_EQUAL, R_MAJOR, rule->major);
	if (rule->minor != DEVICE_ANY) {
		put(program, BPF_ALU | BPF_MOV | BPF_X, R_SCRATCH, R_DEVICE, 0, 0);
		put(program, BPF_ALU | BPF_AND | BPF_K, R_SCRATCH, 0, 0, MINOR_MASK);
		jumps[count++] = put_jump(program, JUMP_UNLESS_EQUAL, R_SCRATCH, rule->minor);
	}
	return count;
}

/*
 * An access that goes on from a rule that fits has the device read anew. Else the verifier, who knows by then
 * which device it is, could not see that this way through the rest is like all others, and would follow each:
 * 3,000 such rules were more than it goes through (BPF_COMPLEXITY_LIMIT_INSNS).
 */
static void put_letters(struct program *program, const struct device_rule *rule)
{
	size_t next;

	if (rule->major != DEVICE_ANY || rule->minor != DEVICE_ANY)
		put_device(program);
	if (rule->allow) {
		put(program, BPF_ALU | BPF_AND | BPF_K, R_WANTED, 0, 0, DEVICE_ACCESS_ALL & ~rule->access);
		next = put_jump(program, JUMP_UNLESS_EQUAL, R_WANTED, 0);
	} else {
		size_t named = put_jump(program, JUMP_IF_ANY_BIT, R_WANTED, rule->access);

		next = put_jump(program, JUMP, 0, 0);
		land(program, named);
	}
	put_verdict(program, rule->allow);
	land(program, next);
}

/* Returns whether an access may get past the rule. */
static bool put_rule(struct program *program, const struct device_rule *rule)
{
	size_t jumps[3];
	size_t count = put_conditions(program, rule, jumps);
	bool partial = rule->access != DEVICE_ACCESS_ALL;

	if (partial)
		put_letters(program, rule);
	else
		put_verdict(program, rule->allow);
	for (size_t i = 0; i < count; i++)
		land(program, jumps[i]);
	return partial || count > 0;
}

size_t device_program_write(const struct device_rule *rules, size_t count, struct bpf_insn *code)
{
	struct program program = { code, 0 };
	bool passable = true;

	put_start(&program);
	/* The verifier refuses instructions that nothing leads to; a rule for all is the first after reduction. */
	while (count > 0 && passable) {
		size_t run = run_length(rules, count);

		if (run > 0)
			put_run(&program, &rules[count - run], run);
		else
			passable = put_rule(&program, &rules[count - 1]);
		count -= run > 0 ? run : 1;
	}
	if (passable)
		put_verdict(&program, false);
	return program.length;
}
