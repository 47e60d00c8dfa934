#!/bin/busybox sh
# Says that a machine came as far as a program, and ends it: for finding out whether KVM works.
/bin/busybox mount -t devtmpfs dev /dev
echo machine works >/dev/ttyS0
/bin/busybox poweroff -f
