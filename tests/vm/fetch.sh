#!/usr/bin/env bash
# Fetches what tests/vm/run.sh needs: QEMU, and Debian's kernel with its modules. The kernel is unpacked into a cache
# and not installed. Takes about a minute, once per machine and version of the kernel.
#
#   fetch.sh           fetch, unless everything is there
#   fetch.sh --where   print the directory, and do nothing
#
# Without root, or on another system than Debian on x86-64, nothing can be fetched: the script says so, and the tests
# that run in the guest are skipped. With CI=true that is a failure.
#
# The directory holds vmlinux (the kernel, unpacked), busybox, layer/ (modules and modprobe, laid over the root file
# system), initramfs, release (the kernel's release) and package (its package and version; written last).
set -euo pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
where=${XDG_CACHE_HOME:-$HOME/.cache}/kgctl/vm

if [[ ${1:-} == --where ]]; then
  echo "$where"
  exit
fi

say() { echo "kernel: $*" >&2; }

cannot() {
  say "$*"
  if [[ ${CI:-} == true ]]; then exit 1; fi
  say "Tests on Debian's kernel will be skipped."
  exit 0
}

initramfs_is_fresh() {
  [[ -e $where/initramfs && $where/initramfs -nt $here/initramfs.sh && $where/initramfs -nt $here/init.sh ]]
}

if [[ -e $where/package ]] && command -v qemu-system-x86_64 cpio >/dev/null; then
  initramfs_is_fresh || "$here/initramfs.sh" "$where"
  exit 0
fi

[[ $(uname -m) == x86_64 && -e /etc/debian_version && $(id -u) == 0 ]] ||
  cannot "QEMU and Debian's kernel can be fetched as root on Debian on x86-64 only."

export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
missing=()
command -v qemu-system-x86_64 >/dev/null || missing+=(qemu-system-x86)
command -v cpio >/dev/null || missing+=(cpio)
if ((${#missing[@]})); then
  say "installing ${missing[*]}"
  apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null 2>&1 ||
    cannot "apt-get could not install ${missing[*]}."
fi

package=$(apt-cache depends --important linux-image-amd64 | awk '$1 == "Depends:" {print $2; exit}')
version=$(apt-cache show --no-all-versions "$package" | awk '$1 == "Version:" {print $2}')
say "fetching $package $version into $where"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chown _apt "$work" 2>/dev/null || true # the user that apt-get downloads as
(cd "$work" && apt-get -qq download "$package" busybox-static) || cannot "apt-get could not download $package."

rm -rf "$where"
mkdir -p "$where/layer/usr/sbin"
dpkg-deb --fsys-tarfile "$work"/busybox-static_*.deb | tar -xO ./bin/busybox >"$where/busybox"
chmod +x "$where/busybox"
cp "$where/busybox" "$where/layer/usr/sbin/modprobe"
# the modules that a virtual machine needs for networks, cryptography and mounts: a third of the package
dpkg-deb --fsys-tarfile "$work/$package"_*.deb | tar -x -C "$work" --wildcards './boot/vmlinuz-*' \
  './lib/modules/*/modules.*' \
  './lib/modules/*/kernel/'{arch/x86/crypto,crypto,lib,net,fs/{9p,overlayfs,netfs,fscache}}'*' \
  './lib/modules/*/kernel/drivers/'{virtio,char/virtio_console.ko,char/hw_random}'*' \
  './lib/modules/*/kernel/drivers/net/'{'*.ko',wireguard,vxlan}'*' \
  --exclude '*/net/'{bluetooth,mac80211,wireless,nfc,sunrpc,ceph,ieee802154,tipc,rds,sctp,dccp,batman-adv,can}'/*' \
  2>/dev/null || true # a pattern that matches nothing is no failure; what is needed is checked next
[[ -n $(find "$work/lib" -name wireguard.ko) ]] || cannot "$package has no WireGuard."
mv "$work/lib" "$where/layer/usr/lib"
basename "$where"/layer/usr/lib/modules/* >"$where/release"
"$where/busybox" depmod -b "$where/layer/usr" "$(<"$where/release")"
python3 "$here/unpack_kernel.py" "$work"/boot/vmlinuz-* "$where/vmlinux"
"$here/initramfs.sh" "$where"
echo "$package $version" >"$where/package"
