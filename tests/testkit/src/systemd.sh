# Becomes a systemd that knows no units but those in $UNITS, and no programs of ours but those in $PROGRAMS. Run it as process 1 of
# mount, pid, ipc, uts and network namespaces. With the machine's own units, systemd would clean the machine's /tmp.
set -eu
mount --make-rprivate /
umount -R /sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 cgroup2 /sys/fs/cgroup
# A cgroup of its own, or two of them would end each other's services.
own=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)/$CGROUP
mkdir "$own"
echo 0 >"$own/cgroup.procs"
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=755 tmpfs /usr/local/bin
ip link set lo up
cp -r "$UNITS" /run/units
cp "$PROGRAMS"/* /usr/local/bin/
for target in sysinit basic shutdown sockets sandbox; do
    printf '[Unit]\nDefaultDependencies=no\n' >"/run/units/$target.target"
done
if [ -n "${TESTKIT_SYSTEMD:-}" ]; then
    libraries=/usr/lib/$(uname -m)-linux-gnu/systemd
    mount --bind "$TESTKIT_SYSTEMD/lib/systemd" /usr/lib/systemd
    mount --bind "$TESTKIT_SYSTEMD$libraries" "$libraries"
    mount --bind "$TESTKIT_SYSTEMD/bin/systemctl" /usr/bin/systemctl
fi
# Services log to a pipe, and so to where this script does.
mkfifo /run/log
cat <>/run/log &
mkdir /run/systemd
unset UNITS PROGRAMS CGROUP
# The console is the machine's.
export container=sandbox SYSTEMD_UNIT_PATH=/run/units SYSTEMD_LOG_TARGET=null
# The root of a cgroup namespace is the cgroup in which it was made, and a mount shows what it had as its root then.
exec unshare --cgroup sh -c 'umount /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup
    exec /usr/lib/systemd/systemd --system --unit=sandbox.target --show-status=no'
