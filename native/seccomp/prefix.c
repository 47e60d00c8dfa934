#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stddef.h>

#include "compile.h"

#define X32_BIT 0x40000000U
/* Stands for "to the end of the prefix", where the library's program begins. */
#define TO_END 0xffffffffU

struct emitter {
	struct sock_filter *out;
	size_t length;
};

static void emit(struct emitter *emitter, struct sock_filter instruction)
{
	/* What is dropped here makes the length the largest, at which the caller gives up. */
	if (emitter->length < PREFIX_MAX)
		emitter->out[emitter->length++] = instruction;
}

static void emit_load(struct emitter *emitter, uint32_t offset)
{
	emit(emitter, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset));
}

static void emit_end(struct emitter *emitter)
{
	emit(emitter, (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, TO_END));
}

static void emit_return_if(struct emitter *emitter, uint16_t comparison, uint32_t value, uint32_t action)
{
	emit(emitter, (struct sock_filter)BPF_JUMP(BPF_JMP | comparison | BPF_K, value, 0, 1));
	emit(emitter, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action));
}

/* "Permitted" by default: what is newer than such a profile is permitted, too. */
static bool is_permissive(uint32_t action)
{
	uint32_t kind = action & SECCOMP_RET_ACTION_FULL;

	return kind == SECCOMP_RET_ALLOW || kind == SECCOMP_RET_LOG || kind == SECCOMP_RET_TRACE;
}

/* The accumulator holds the number of the system call. */
static void emit_architecture(struct emitter *emitter, const struct compilation *compilation, const struct architecture *architecture)
{
	bool stub = architecture->last > 0 && !is_permissive(compilation->default_action);
	uint32_t first = stub ? (uint32_t)architecture->last + 1 : UINT32_MAX;

	for (size_t i = 0; i < compilation->newer_count; i++) {
		uint32_t number = (uint32_t)newer_on(architecture->token, compilation->newer[i].number);

		if (number < first)
			first = number;
	}
	/* Almost every call is older than all that, and costs one comparison. */
	emit(emitter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, first, 1, 0));
	emit_end(emitter);
	for (size_t i = 0; i < compilation->newer_count; i++)
		emit_return_if(emitter, BPF_JEQ, (uint32_t)newer_on(architecture->token, compilation->newer[i].number),
			       compilation->newer[i].action);
	if (stub)
		emit_return_if(emitter, BPF_JGT, (uint32_t)architecture->last, SECCOMP_RET_ERRNO | ENOSYS);
	emit_end(emitter);
}

static const struct architecture *find(const struct compilation *compilation, uint32_t token)
{
	for (size_t i = 0; i < compilation->architecture_count; i++)
		if (compilation->architectures[i].token == token)
			return &compilation->architectures[i];
	return NULL;
}

/* x86-64 and x32 are one architecture to the kernel, told apart by a bit of the number. */
static void emit_x86_64(struct emitter *emitter, const struct compilation *compilation)
{
	const struct architecture *wide = find(compilation, SCMP_ARCH_X86_64);
	const struct architecture *narrow = find(compilation, SCMP_ARCH_X32);
	size_t jump = emitter->length;

	emit(emitter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, X32_BIT, 0, 1));
	emit(emitter, (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, 0));
	if (wide != NULL)
		emit_architecture(emitter, compilation, wide);
	else
		emit_end(emitter);
	if (emitter->length < PREFIX_MAX)
		emitter->out[jump + 1].k = (uint32_t)(emitter->length - jump - 2);
	/* Without x32 in the filter the library's program knows what to do with its calls. */
	if (narrow != NULL)
		emit_architecture(emitter, compilation, narrow);
	else
		emit_end(emitter);
}

/* One block per architecture of the kernel's: skipped unless the call is of it. */
static void emit_block(struct emitter *emitter, const struct compilation *compilation, const struct architecture *architecture)
{
	bool x86 = architecture->token == SCMP_ARCH_X86_64 || architecture->token == SCMP_ARCH_X32;
	uint32_t audit = x86 ? AUDIT_ARCH_X86_64 : architecture->token;
	size_t jump = emitter->length;

	emit(emitter, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, audit, 1, 0));
	emit(emitter, (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, 0));
	emit_load(emitter, offsetof(struct seccomp_data, nr));
	if (x86)
		emit_x86_64(emitter, compilation);
	else
		emit_architecture(emitter, compilation, architecture);
	if (emitter->length < PREFIX_MAX)
		emitter->out[jump + 1].k = (uint32_t)(emitter->length - jump - 2);
}

size_t prefix_make(const struct compilation *compilation, struct sock_filter out[PREFIX_MAX])
{
	struct emitter emitter = { out, 0 };
	bool x86_done = false;

	if (is_permissive(compilation->default_action) && compilation->newer_count == 0)
		return 0;
	emit_load(&emitter, offsetof(struct seccomp_data, arch));
	for (size_t i = 0; i < compilation->architecture_count; i++) {
		const struct architecture *architecture = &compilation->architectures[i];
		bool x86 = architecture->token == SCMP_ARCH_X86_64 || architecture->token == SCMP_ARCH_X32;

		if (!x86 || !x86_done)
			emit_block(&emitter, compilation, architecture);
		x86_done = x86_done || x86;
	}
	for (size_t i = 0; i < emitter.length; i++)
		if (out[i].code == (BPF_JMP | BPF_JA) && out[i].k == TO_END)
			out[i].k = (uint32_t)(emitter.length - i - 1);
	return emitter.length;
}
