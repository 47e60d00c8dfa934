/* The bundle's device rules, enforced by a program that is attached to the container's cgroup. */
#include <errno.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bundle.h"
#include "device_program.h"
#include "setup.h"
#include "../common/scope.h"

/* The verifier gives up with EAGAIN when a signal comes (bpf_check in kernel/bpf/verifier.c). */
#define LOAD_ATTEMPTS 5

static int sys_bpf(int command, union bpf_attr *attributes)
{
	return (int)syscall(SYS_bpf, command, attributes, sizeof(*attributes));
}

static int load(const struct bpf_insn *code, size_t length)
{
	union bpf_attr attributes;
	int fd = -1;

	memset(&attributes, 0, sizeof(attributes));
	attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
	attributes.insns = (uint64_t)(uintptr_t)code;
	attributes.insn_cnt = (uint32_t)length;
	attributes.license = (uint64_t)(uintptr_t)"Apache-2.0";
	memcpy(attributes.prog_name, "berth_devices", sizeof("berth_devices"));
	for (int attempt = 0; attempt < LOAD_ATTEMPTS && fd < 0; attempt++) {
		fd = sys_bpf(BPF_PROG_LOAD, &attributes); /* close-on-exec by itself */
		if (fd < 0 && errno != EAGAIN)
			break;
	}
	return fd;
}

static int attach(int program, int cgroup)
{
	union bpf_attr attributes;

	memset(&attributes, 0, sizeof(attributes));
	attributes.target_fd = (uint32_t)cgroup;
	attributes.attach_bpf_fd = (uint32_t)program;
	attributes.attach_type = BPF_CGROUP_DEVICE;
	/* Beside those of the cgroups above, all of which must agree; and one below may have its own. */
	attributes.attach_flags = BPF_F_ALLOW_MULTI;
	return sys_bpf(BPF_PROG_ATTACH, &attributes);
}

int bundle_restrict_devices(const struct bundle *bundle, int cgroup, struct error *err)
{
	size_t count = bundle->device_rule_count;
	scope_free struct bpf_insn *code = NULL;
	scope_fd int program = -1;
	size_t length;

	if (!bundle->has_device_rules || !device_rules_restrict(bundle->device_rules, count))
		return 0;
	code = calloc(DEVICE_PROGRAM_SIZE(count), sizeof(*code));
	if (code == NULL)
		return error_set(err, ENOMEM, "cgroup", bundle->cgroup, "no memory for the device rules");
	length = device_program_write(bundle->device_rules, count, code);
	program = load(code, length);
	if (program < 0)
		return error_errno(err, "cgroup", bundle->cgroup,
				   "the device rules cannot be enforced: loading their program (it takes CAP_SYS_ADMIN and a "
				   "kernel with CONFIG_CGROUP_BPF)");
	/* The cgroup holds the program from here on, and gives it up when it is removed. */
	if (attach(program, cgroup) < 0)
		return error_errno(err, "cgroup", bundle->cgroup,
				   "the device rules cannot be enforced: attaching their program (it takes a cgroup2 directory and a "
				   "kernel with CONFIG_CGROUP_BPF)");
	return 0;
}
