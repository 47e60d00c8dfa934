#!/bin/sh
# Packs the first file system of the machine into $2: busybox, the modules that the way to the real root takes
# (from the unpacked kernel in $1), guest/first-init.sh as /init and guest/probe.sh as /probe. Packed again when one
# of them has changed.
set -eu
kernel=$1
output=$2
here=$(cd "$(dirname "$0")" && pwd)
busybox=$(command -v busybox)
fresh=yes
for part in "$kernel/complete" "$here/guest/first-init.sh" "$here/guest/probe.sh" "$0" "$busybox"; do
	[ "$output" -nt "$part" ] || fresh=
done
[ -z "$fresh" ] || exit 0

tree=$(mktemp -d)
packed=$(mktemp "$output.XXXXXX")
trap 'rm -rf "$tree" "$packed"' EXIT
for directory in bin modules proc dev sys control lower upper bare root; do mkdir "$tree/$directory"; done
cp "$busybox" "$tree/bin/busybox"
cp "$here/guest/first-init.sh" "$tree/init"
cp "$here/guest/probe.sh" "$tree/probe"
chmod 755 "$tree/init" "$tree/probe"

# In the order in which they have to be loaded; what is built into the kernel needs nothing.
for wanted in 9pnet_virtio 9p overlay; do
	modprobe -d "$kernel" -S "$(cat "$kernel/version")" --show-depends "$wanted"
done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' | while read -r module; do
	name=$(basename "$module" .xz)
	# Decompressed here, where it costs nothing; in an emulated machine it would.
	case $module in
	*.xz) xz -dc "$module" >"$tree/modules/$name" ;;
	*) cp "$module" "$tree/modules/$name" ;;
	esac
	echo "$name" >>"$tree/modules/order"
done
[ -s "$tree/modules/order" ] || { echo "vm: the kernel in $kernel lacks its 9p modules" >&2; exit 2; }

(cd "$tree" && find . | busybox cpio -o -H newc 2>/dev/null) >"$packed"
mv "$packed" "$output"
