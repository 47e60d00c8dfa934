#!/bin/sh
# Fetches the newest packaged 6.12 kernel from Debian's backports into $1 and unpacks it there: nothing is
# installed. What a finished run leaves is kept: $1/kernel, $1/version, $1/lib/modules.
#
# apt runs with lists, cache and sources of its own below $1. Mirror and release are those of the machine's own
# Debian source, so that a mirror close by, a proxy or an offline copy is used as it is elsewhere.
set -eu
target=$1
[ -e "$target/complete" ] && exit 0

. /etc/os-release
mirror=$(apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
	awk -v release="${VERSION_CODENAME:-}" '$1 == release && $2 == "main" { print $3; exit }')
if [ -z "$mirror" ]; then
	echo "vm: apt knows no main archive of Debian ${VERSION_CODENAME:-?}: run apt-get update, or look at its sources" >&2
	exit 2
fi
# Where Debian's keyring is not installed, apt's own list of trusted keys decides.
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -e "$keyring" ] && signed="[signed-by=$keyring]" || signed=

rm -rf "$target"
mkdir -p "$target/apt/lists/partial" "$target/apt/cache/archives/partial"
apt="$target/apt"
echo "deb $signed $mirror $VERSION_CODENAME-backports main" >"$apt/sources.list"
cat >"$apt/apt.conf" <<END
Dir::State::lists "$apt/lists";
Dir::Cache "$apt/cache";
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "/dev/null";
Acquire::Languages "none";
APT::Sandbox::User "root";
END
export APT_CONFIG="$apt/apt.conf"

echo "vm: fetching the kernel, once" >&2
apt-get update -qq >&2 || { echo "vm: the backports' package list cannot be fetched" >&2; exit 2; }
# Not the cloud kernel (no 9p), nor the ones for real time, for debugging, or not signed.
package=$(apt-cache search --names-only '^linux-image-6\.12\.[^-]*-amd64$' | awk '{ print $1 }' | sort -V | tail -n 1)
[ -n "$package" ] || { echo "vm: no 6.12 kernel in $VERSION_CODENAME-backports" >&2; exit 2; }
(cd "$apt" && apt-get download -qq "$package" >&2) || { echo "vm: $package cannot be fetched" >&2; exit 2; }
dpkg -x "$apt/$package"_*.deb "$target"

version=${package#linux-image-}
# A Debian of merged /usr may have the modules in either place.
[ -d "$target/lib" ] || ln -s usr/lib "$target/lib"
# An emulated machine takes two seconds to decompress its kernel: qemu starts the kernel's ELF file as well, by the
# PVH entry that Debian's kernels have. zstd complains of what follows its data; the result is checked instead.
packed="$target/boot/vmlinuz-$version"
offset=$(LC_ALL=C grep -abo -m 1 -P '\x28\xb5\x2f\xfd' "$packed" | head -n 1 | cut -d : -f 1)
tail -c "+$((${offset:-0} + 1))" "$packed" | zstd -dcq >"$target/vmlinux" 2>/dev/null || true
if [ "$(head -c 4 "$target/vmlinux")" = "$(printf '\177ELF')" ]; then
	ln -s vmlinux "$target/kernel"
else
	rm -f "$target/vmlinux"
	ln -s "boot/vmlinuz-$version" "$target/kernel"
fi
echo "$version" >"$target/version"
depmod -b "$target" "$version"
rm -rf "$apt"
touch "$target/complete"
