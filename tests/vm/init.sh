#!/bin/busybox sh
# The guest's first process. It mounts the host's root read-only, the kernel's modules over it (and daemons, for systemd),
# memory on top, and hands over to guest.sh, or to systemd, which starts vm.service. run.sh adds /vm to this file system.
busybox=/bin/busybox
$busybox mount -t proc proc /proc
$busybox mount -t sysfs sys /sys
$busybox mount -t devtmpfs dev /dev
while read -r module; do $busybox insmod "/modules/$module"; done </modules/order

fail() {
  echo "init: $*" >/dev/console
  $busybox reboot -f
}

share() { $busybox mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=512000,cache=loose "$1" "$2"; }
share host /host || fail "cannot mount the host's root"
share layer /layer || fail "cannot mount the modules"
layers=/layer:/host systemd=
case $($busybox cat /proc/cmdline) in
*vm.init=systemd*)
  share daemons /daemons || fail "cannot mount the daemons"
  layers=/daemons:$layers systemd=1
  ;;
esac
$busybox mount -t tmpfs -o size=75% work /work
$busybox mkdir /work/upper /work/work
$busybox mount -t overlay -o lowerdir=$layers,upperdir=/work/upper,workdir=/work/work,metacopy=off root /root ||
  fail "cannot mount memory over the host's root"
for path in proc sys dev; do $busybox mount --move "/$path" "/root/$path"; done
$busybox mount -t tmpfs -o mode=755 run /root/run
# systemd ignores the kernel's command line in a container, and takes these files for the sign of one
$busybox rm -f /root/.dockerenv /root/run/.containerenv
# the host's name servers are out of reach, and kgctl keeps its hands off them
$busybox rm -f /root/etc/resolv.conf
echo '# none' >/root/etc/resolv.conf
$busybox mkdir -p /root/dev/pts /root/dev/shm /root/run/vm /root/run/lock
$busybox mount -t devpts -o gid=5,mode=620,ptmxmode=666 pts /root/dev/pts
$busybox mount -t tmpfs shm /root/dev/shm
$busybox ln -sf /proc/self/fd /root/dev/fd
$busybox ln -sf /proc/self/fd/0 /root/dev/stdin
$busybox ln -sf /proc/self/fd/1 /root/dev/stdout
$busybox ln -sf /proc/self/fd/2 /root/dev/stderr
$busybox mount -t cgroup2 cgroup2 /root/sys/fs/cgroup
$busybox cp /vm/* /bin/busybox /root/run/vm/
[ -n "$systemd" ] || exec $busybox switch_root /root /run/vm/busybox sh /run/vm/guest.sh
$busybox mkdir -p /root/run/systemd/system
$busybox cp /vm/vm.service /vm/vm.target /root/run/systemd/system/
exec $busybox switch_root /root /lib/systemd/systemd --unit=vm.target
