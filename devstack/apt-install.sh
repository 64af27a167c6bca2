#!/bin/sh
# Install the Debian packages named as arguments, without starting their services and without creating a PostgreSQL
# cluster: Thumbmill runs its own instances and does not touch those of the system. Run as root (or with sudo).
set -eu

if [ $# -eq 0 ] || [ "$1" = --help ]; then
    echo "usage: apt-install.sh PACKAGE...   (as root; starts no service and creates no database cluster)"
    exit 0
fi

policy=/usr/sbin/policy-rc.d
clusters=/etc/postgresql-common/createcluster.d
made_policy=
made_cluster=
made_directories=

clean_up() {
    [ -z "$made_policy" ] || rm -f "$policy"
    [ -z "$made_cluster" ] || rm -f "$clusters/zz-thumbmill.conf"
    # Remove only empty directories: the package may have added files of its own.
    for directory in $made_directories; do
        rmdir "$directory" 2>/dev/null || true
    done
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# 101 is invoke-rc.d's "action forbidden by policy". An existing policy stays as it is.
if [ ! -e "$policy" ]; then
    made_policy=yes
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi

for directory in "$clusters" "${clusters%/*}"; do
    [ -d "$directory" ] || made_directories="$made_directories $directory"
done
mkdir -p "$clusters"
made_cluster=yes
echo 'create_main_cluster = false' >"$clusters/zz-thumbmill.conf"

new_units=
for unit in rabbitmq-server.service epmd.socket epmd.service postgresql.service; do
    [ -e "/lib/systemd/system/$unit" ] || new_units="$new_units $unit"
done

export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -q -y --no-install-recommends "$@"

# The policy prevented a start now; without this they would start at the next boot. Units that existed before stay
# as they are.
if [ -d /run/systemd/system ]; then
    for unit in $new_units; do
        systemctl disable --now "$unit" >/dev/null 2>&1 || true
    done
fi
