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

$b mount -t tmpfs -o mode=755,nosuid,nodev run /root/run
$b mkdir /root/run/berth-vm
$b mount -o move /control /root/run/berth-vm
for mounted in proc sys dev; do $b mount -o move "/$mounted" "/root/$mounted"; done
exec $b switch_root /root /bin/sh /run/berth-vm/second-init.sh
