# PID 1 on the real root: what a node has before its services start, for both inits. `plain` then runs the command
# itself; `systemd` becomes systemd, with a unit for the command.
. /run/berth-vm/settings
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

mount --make-rshared /
mkdir -p /dev/pts /dev/shm /dev/mqueue /dev/hugepages
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t mqueue mqueue /dev/mqueue
mount -t hugetlbfs hugetlbfs /dev/hugepages
mount -t securityfs securityfs /sys/kernel/security
mount -t bpf bpf /sys/fs/bpf
mount -t debugfs debugfs /sys/kernel/debug
mount -t tracefs tracefs /sys/kernel/tracing
mount -t cgroup2 -o nsdelegate,memory_recursiveprot cgroup2 /sys/fs/cgroup
# The root is an overlay, and overlays do not stack well: what containers are made of lies on plain memory.
mount -t tmpfs -o mode=1777,size=75% tmp /tmp
mkdir -p /var/lib/berth
mount -t tmpfs -o mode=755,size=75% berth /var/lib/berth
ln -sf /proc/self/fd /dev/fd

mkdir -p /lib/modules
mount --bind "$KERNEL_MODULES" /lib/modules

# systemd does not know the hugetlb controller, so that it leaves alone what is written here.
for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do
	echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control
done

echo berth-vm >/proc/sys/kernel/hostname
echo berth-vm >/etc/hostname
printf '127.0.0.1 localhost berth-vm\n::1 localhost\n' >/etc/hosts
ip link set lo up
echo 1 >/proc/sys/net/ipv4/ip_forward

device_of() { # the disk with this serial number
	for block in /sys/block/vd*; do
		[ "$(cat "$block/serial" 2>/dev/null)" = "$1" ] && echo "/dev/${block##*/}"
	done
}
if [ -n "$DISK$SWAP" ]; then
	modprobe virtio_blk
fi
if [ -n "$DISK" ]; then
	mkdir -p /disk
	mount -t ext4 "$(device_of disk)" /disk || echo "vm: the disk is not mounted" >/dev/console
fi
if [ -n "$SWAP" ]; then
	mkswap "$(device_of swap)" >/dev/null && swapon "$(device_of swap)"
fi

if [ "$INIT" = systemd ]; then
	. /run/berth-vm/systemd.sh
	exec /lib/systemd/systemd --system
fi
setsid /bin/sh /run/berth-vm/run-command.sh
. /run/berth-vm/power-off.sh
