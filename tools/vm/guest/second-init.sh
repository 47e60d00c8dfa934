# PID 1 on the real root, with all file systems mounted: disks, then the init that was asked for. `plain` runs the
# command itself; `systemd` becomes systemd, with a unit for the command.
. /run/berth-vm/settings
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# As systemd has it, and what network namespaces pinned under /run need.
mount --make-rshared /

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
