#!/bin/busybox sh
# PID 1 of the first file system: puts the root together and hands over to the init that was asked for.
# The outer machine's root lies below, read-only; what is written goes to memory and ends with the machine.
b=/bin/busybox
fail() {
	echo "vm: $1" >/dev/console
	$b poweroff -f
}

$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
while read -r module; do
	$b insmod "/modules/$module" || fail "module $module does not load"
done </modules/order

# Nobody changes the root from inside, so that everything read once may stay in the cache.
share="trans=virtio,version=9p2000.L,msize=512000"
$b mount -t 9p -o "ro,cache=loose,$share" root /lower || fail "the root file system is not there"
# What comes out has to be there as soon as it is written, also when the power goes: no cache.
$b mount -t 9p -o "rw,cache=none,$share" control /control || fail "the control directory is not there"
$b mount -t tmpfs -o mode=755,size=75% upper /upper || fail "no memory for what is written"
$b mkdir /upper/data /upper/work
$b mount -t overlay -o lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work root /root || fail "no overlay"
# The root once more, as it is without the file systems that will lie on it.
$b mount -o bind /root /bare || fail "the root cannot be bound"

# All mounts of a node are made here, with the busybox in memory: programs from the root cost an emulated machine
# fifty milliseconds each.
$b mount -t tmpfs -o mode=755,nosuid,nodev run /root/run
$b mkdir /root/run/berth-vm
$b mount -o move /control /root/run/berth-vm
for mounted in proc sys dev; do $b mount -o move "/$mounted" "/root/$mounted"; done
in_root() { # TYPE DIRECTORY [OPTIONS]
	[ -d "/root$2" ] || $b mkdir -p "/root$2"
	$b mount -t "$1" ${3:+-o "$3"} "$1" "/root$2" || echo "vm: $2 is not mounted" >/root/dev/console
}
in_root devpts /dev/pts gid=5,mode=620,ptmxmode=666
in_root tmpfs /dev/shm mode=1777
in_root mqueue /dev/mqueue
in_root hugetlbfs /dev/hugepages
in_root securityfs /sys/kernel/security
in_root bpf /sys/fs/bpf
in_root debugfs /sys/kernel/debug
in_root tracefs /sys/kernel/tracing
in_root cgroup2 /sys/fs/cgroup nsdelegate,memory_recursiveprot
# The root is an overlay, and overlays do not stack well: what containers are made of lies on plain memory.
in_root tmpfs /tmp mode=1777,size=75%
in_root tmpfs /var/lib/berth mode=755,size=75%
. /root/run/berth-vm/settings
$b mkdir -p /root/lib/modules
$b mount -o bind "/bare$KERNEL_MODULES" /root/lib/modules || fail "the kernel's modules are not there"
# What the command needs may be below a directory that is covered now.
while read -r directory; do
	[ ! -d "/root$directory" ] || continue
	$b mkdir -p "/root$directory"
	$b mount -o bind "/bare$directory" "/root$directory" || echo "vm: $directory is not there" >/root/dev/console
done </root/run/berth-vm/visible
$b umount /bare
[ -e /root/dev/fd ] || $b ln -s /proc/self/fd /root/dev/fd

# systemd 252 does not know the hugetlb controller, so that it leaves alone what is written here.
for controller in $($b cat /root/sys/fs/cgroup/cgroup.controllers); do
	echo "+$controller" >/root/sys/fs/cgroup/cgroup.subtree_control
done
# The kernel switches branches in its hottest code when the first cgroup with cpusets and the first with a quota come
# and when the last ones go. An emulator may have one processor execute half of an instruction that another is changing:
# seen as `Oops: int3` in __alloc_pages and put_prev_entity. So all that is switched at boot, and by a cgroup that stays,
# is switched while there is one processor.
$b mkdir /root/sys/fs/cgroup/berth-vm-stays
echo '1000000 1000000' >/root/sys/fs/cgroup/berth-vm-stays/cpu.max
for cpu in /root/sys/devices/system/cpu/cpu[1-9]*/online; do
	[ ! -e "$cpu" ] || echo 1 >"$cpu"
done
echo berth-vm >/root/proc/sys/kernel/hostname
echo berth-vm >/root/etc/hostname
printf '127.0.0.1 localhost berth-vm\n::1 localhost\n' >/root/etc/hosts
$b ip link set lo up
echo 1 >/root/proc/sys/net/ipv4/ip_forward
exec $b switch_root /root /bin/sh /run/berth-vm/second-init.sh
