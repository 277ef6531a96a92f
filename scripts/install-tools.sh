#!/bin/sh
# Installs the Debian packages that some tests and benchmarks use. A test whose tool is missing skips and says so,
# hence nothing here is fatal: without root or apt this only reports what is missing.
set -u
wanted="awscli:aws wrk:wrk user-mode-linux:linux.uml uidmap:newuidmap e2fsprogs:mkfs.ext4 iproute2:ip gcc:gcc nftables:nft slirp4netns:slirp4netns"

missing=""
for pair in $wanted; do
  command -v "${pair#*:}" >/dev/null 2>&1 || [ -x "/usr/sbin/${pair#*:}" ] || missing="$missing ${pair%%:*}"
done
# A pip-installed `aws` of version 1 has no `logs tail`; the tests look for the packaged one.
[ -x /usr/bin/aws ] || case "$missing" in *awscli*) ;; *) missing="$missing awscli" ;; esac
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "Some tests will skip: not installed:$missing"
  exit 0
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq >/dev/null 2>&1 || true
for package in $missing; do
  apt-get install -y -qq --no-install-recommends "$package" >/dev/null 2>&1 || echo "Some tests will skip: $package could not be installed."
done
exit 0
