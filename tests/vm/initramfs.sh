#!/usr/bin/env bash
# Builds the guest's first file system: busybox, the modules that mounting the host's root needs, and init.sh.
#
#   initramfs.sh DIRECTORY   (of fetch.sh)
set -euo pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
where=$1
modules=$where/layer/usr/lib/modules/$(<"$where/release")

# with_dependencies MODULE...: the files of the modules and of those that they need, in loading order.
# A module without a file is built into the kernel.
with_dependencies() {
  local name path
  for name in "$@"; do
    path=$(awk -F: -v end="/$name.ko" \
      'substr("/" $1, length($1) + 2 - length(end)) == end {print $1; exit}' "$modules/modules.dep")
    [[ -n $path ]] || continue
    awk -F: -v path="$path" '$1 == path {
      count = split($2, all, " ")
      for (i = count; i > 0; i--) print all[i]
      print path
    }' "$modules/modules.dep"
  done | awk '!seen[$0]++'
}

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree"/{bin,dev,proc,sys,host,layer,daemons,work,root,modules}
cp "$where/busybox" "$tree/bin/busybox"
cp "$here/init.sh" "$tree/init"
chmod +x "$tree/init"
while read -r path; do
  cp "$modules/$path" "$tree/modules/"
  basename "$path"
done < <(with_dependencies virtio_pci virtio_console virtio_rng 9pnet_virtio 9p overlay) >"$tree/modules/order"
(cd "$tree" && find . | sort | cpio --quiet -o -H newc -R 0:0 --reproducible) >"$where/initramfs"
