#!/bin/sh
# Installs what the build and the tests need: Debian packages from debian-packages.txt, npm packages from
# package-lock.json. What is there already is left alone, so that a second run does nothing.
set -eu
cd "$(dirname "$0")/.."

wanted=$(sed 's/#.*//' tools/debian-packages.txt)
missing=
for package in $wanted; do
	state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
	[ "$state" = installed ] || missing="$missing $package"
done

if [ -n "$missing" ]; then
	if [ "$(id -u)" != 0 ]; then
		echo "setup: these Debian packages are missing; run 'make setup' as root, or install them:$missing" >&2
		exit 1
	fi
	echo "setup: installing$missing"
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq
	# No recommended packages: docker-registry and the like would bring services along. policy-rc.d's exit
	# status 101 keeps the ones that come anyway from being started.
	policy=/usr/sbin/policy-rc.d
	if [ ! -e "$policy" ]; then
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod 755 "$policy"
		trap 'rm -f "$policy"' EXIT
	fi
	# shellcheck disable=SC2086 # one word for each package
	apt-get install -qq -y --no-install-recommends $missing
fi

# npm notes in this file what it has installed; it is as new as the lock file when both agree.
if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
	echo "setup: installing npm packages"
	npm ci --no-audit --no-fund --loglevel=error
	touch node_modules/.package-lock.json
fi

node_modules/.bin/node --version >/dev/null || {
	echo "setup: node_modules/.bin/node does not run; were npm's install scripts switched off?" >&2
	exit 1
}
