#!/bin/bash
# Makes a root directory of its own over this machine's and gives it to systemd, as its first process.
# Run in new namespaces, see machine.py. Arguments: an empty folder, this checkout, a Python's folder,
# the site-packages to use. Nothing that is written inside is left outside.
set -eu
root=$1/root source=$2 python=$3 site=$4
mount --make-rprivate /
mkdir -p "$root"
mount -t tmpfs -o mode=0755 tmpfs "$root"
mkdir "$root"/{upper,work,new}
mount -t overlay -o "lowerdir=/,upperdir=$root/upper,workdir=$root/work" overlay "$root/new"
cd "$root/new"

for folder in run tmp dev; do mount -t tmpfs -o mode=0755 tmpfs $folder; done
chmod 1777 tmp
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys  # the kernel's settings are this machine's
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
for device in null zero full random urandom tty; do
  touch dev/$device
  mount --bind /dev/$device dev/$device
done
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/0 dev/stdin

mkdir -p opt/checkout opt/python opt/site
mount --bind "$source" opt/checkout
mount --bind "$python" opt/python
mount --bind "$site" opt/site
for folder in checkout python site; do mount -o remount,bind,ro opt/$folder; done

# Of all that starts with a machine, only the journal.
rm -rf usr/lib/systemd/system-generators/* etc/systemd/system/* etc/ecolyo-worker
rm -f usr/lib/systemd/system/*.target.wants/*
for socket in systemd-journald.socket systemd-journald-dev-log.socket; do
  ln -s ../$socket usr/lib/systemd/system/sockets.target.wants/$socket
done
: > etc/fstab
# A Python may lie where a service must not look: it is seen elsewhere, and so are its libraries.
mkdir -p etc/systemd/system.conf.d
printf '[Manager]\nDefaultEnvironment=LD_LIBRARY_PATH=/opt/python/lib\n' \
  > etc/systemd/system.conf.d/python.conf

mkdir old
pivot_root . old
cd /
umount --lazy old
mount --make-rshared /  # credentials come by a mount that spreads
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  "$(command -v /usr/lib/systemd/systemd /lib/systemd/systemd | head -n 1)" \
  --system --unit=basic.target --show-status=no --log-target=journal
