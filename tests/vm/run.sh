#!/usr/bin/env bash
# Runs a command as root in an emulated machine with Debian's kernel, in this directory of this machine's files.
#
#   run.sh [-s] [-c PROCESSORS] [-m MEMORY] [-t SECONDS] [-l FILE] COMMAND [ARG...]
#
# The guest sees this machine's root file system; what it writes stays in its memory. It has PROCESSORS (2) and no
# network but its own. Output and exit status are the command's; the exit status is 124 if the command ran longer than
# SECONDS (1800), and 125 if the guest did not start. With -s systemd is the first process, with D-Bus and udev; the
# daemons of daemons.sh are there, and none of them is started. MEMORY is 2G. FILE gets the kernel's log. Where fetch.sh could fetch nothing, run.sh says so and succeeds; with
# CI=true it fails.
set -euo pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
processors=2 memory=2G seconds=1800 log= systemd=
while getopts sc:m:t:l: option; do
  case $option in
  s) systemd=1 ;;
  c) processors=$OPTARG ;;
  m) memory=$OPTARG ;; t) seconds=$OPTARG ;; l) log=$OPTARG ;;
  *) exit 2 ;;
  esac
done
shift $((OPTIND - 1))
"$here/fetch.sh"
where=$("$here/fetch.sh" --where)
[[ -e $where/package ]] || exit 0 # fetch.sh said why
if [[ -n $systemd ]]; then
  "$here/daemons.sh" "$where"
  [[ -e $where/daemons.for ]] || exit 0
fi
started=$EPOCHREALTIME

work=$(mktemp -d)
machine=
finish() {
  [[ -z $machine ]] || kill "$machine" 2>/dev/null || true # timeout passes it on to QEMU
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

# --- the command, in an archive that the kernel unpacks over the first one ---
mkdir -p "$work/archive/vm"
cp "$here/guest.sh" "$here/vm.service" "$here/vm.target" "$work/archive/vm/"
{
  # the environment goes along, without the terminal's and the session's, and without what may be a secret
  export -p | grep -vE '^declare -x (SHLVL|OLDPWD|PWD|TERM|DISPLAY|DBUS_\w*|XDG_(RUNTIME_DIR|SESSION_\w*)|SSH_\w*|\w*(TOKEN|SECRET|PASSWORD|KEY|PROXY|proxy)\w*)(=|$)'
  printf 'cd %q || exit 125\nexec' "$PWD"
  printf ' %q' "$@"
  echo
} >"$work/archive/vm/command"
(cd "$work/archive" && find . | cpio --quiet -o -H newc -R 0:0) | cat "$where/initramfs" - >"$work/initrd"

# --- the machine ---
# notsc: the speed of the emulated TSC is measured at the start, wrongly if this machine is busy, and the guest's clock
# then runs several times too fast. The ACPI timer needs no measurement.
append="console=ttyS0 loglevel=4 panic=-1 nokaslr mitigations=off random.trust_cpu=on notsc clocksource=acpi_pm"
# rep_good, erms, fsrm: with these the kernel and the C library clear and copy memory by string instructions, which QEMU
# emulates a word or a byte at a time: a Python program took a quarter longer.
append+=" clearcpuid=rep_good,erms,fsrm"
append+=" audit=0 apparmor=0 selinux=0 cgroup_no_v1=all"
if [[ -n $systemd ]]; then
  append+=" vm.init=systemd systemd.show_status=0 systemd.firstboot=off"
  # the first of them would tidy up /tmp of this machine's files, in memory, for minutes; mounts that nothing needs
  # take a second each
  for unit in systemd-{tmpfiles-setup,remount-fs,timesyncd,pstore,random-seed,update-utmp,journal-flush}.service \
    systemd-tmpfiles-clean.timer dev-{hugepages,mqueue}.mount sys-kernel-{debug,tracing,config}.mount; do
    append+=" systemd.mask=$unit"
  done
fi
options=(-accel "tcg,thread=multi,tb-size=512" -cpu "max,-la57,-erms,-fsrm" -machine q35 -smp "$processors" -m "$memory")
options+=(-nodefaults -no-user-config -display none -no-reboot -serial "file:$work/log")
options+=(-kernel "$where/vmlinux" -initrd "$work/initrd" -append "$append")
options+=(-device virtio-rng-pci -device virtio-serial-pci -add-fd "fd=3,set=3" -add-fd "fd=4,set=4")
port() { options+=(-chardev "file,id=$1,path=$2${3:-}" -device "virtserialport,chardev=$1,name=$1"); }
port out /dev/fdset/3 ,append=on
port err /dev/fdset/4 ,append=on
port status "$work/status"
shares=(host=/ layer="$where/layer")
[[ -z $systemd ]] || shares+=(daemons="$where/daemons")
for share in "${shares[@]}"; do
  name=${share%%=*}
  options+=(-fsdev "local,id=$name,path=${share#*=},security_model=none,readonly=on,multidevs=remap")
  options+=(-device "virtio-9p-pci,fsdev=$name,mount_tag=$name")
done

timeout "$seconds" qemu-system-x86_64 "${options[@]}" 3>&1 4>&2 </dev/null >"$work/qemu" 2>&1 &
machine=$!
code=0
wait "$machine" || code=$?
machine=
[[ -z $log || ! -e $work/log ]] || cp "$work/log" "$log"
if ((code == 124)); then
  echo "kernel: ended after $seconds s" >&2
  exit 124
fi
if [[ ! -s $work/status ]]; then
  echo "kernel: the guest did not start, or died (QEMU: $code)" >&2
  tail -n 25 "$work/qemu" "$work/log" >&2 2>/dev/null || true
  exit 125
fi
read -r code booted ended <"$work/status"
awk -v kernel="$(<"$where/package")" -v from="$started" -v to="$EPOCHREALTIME" -v booted="$booted" -v ended="$ended" \
  'BEGIN {printf "kernel: %s; %.0f s, of which the guest started for %.0f s\n", kernel, to - from, booted}' >&2
exit "$code"
