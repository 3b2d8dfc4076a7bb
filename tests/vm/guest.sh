# Runs the command in the guest, reports its exit status to the host, and ends the machine. Started by init.sh or vm.service.
busybox=/run/vm/busybox
$busybox hostname guest
$busybox ip link set lo up
# opening the file loads its module; kmod makes such files elsewhere
[ -e /dev/net/tun ] || { $busybox mkdir -p /dev/net && $busybox mknod -m 666 /dev/net/tun c 10 200; }
for port in /sys/class/virtio-ports/*; do
  read -r name <"$port/name" && eval "$name=/dev/${port##*/}"
done
booted=$($busybox cut -d' ' -f1 /proc/uptime)
$busybox setsid /bin/bash /run/vm/command </dev/null >"$out" 2>"$err"
echo "$? $booted $($busybox cut -d' ' -f1 /proc/uptime)" >"$status"
$busybox sync
$busybox poweroff -f
