#!/usr/bin/env bash
# Builds an API server of Kubernetes 1.36 for the tests, from Debian's packages of the libraries that the real one is
# made of, and puts Debian's etcd beside it. Once a machine, about 10 minutes on two cores; afterwards it is in the cache.
#
#   build-current.sh           build, unless both are there already; print the directory that they are in
#   build-current.sh --newest  the same with the newest packages instead of those in current/packages.txt
#
# Use it with: KUBEBUILDER_ASSETS=$(tests/apiserver/build-current.sh) make api
#
# It is not kube-apiserver: Debian removes cmd/kube-apiserver, pkg and plugin from its source package of Kubernetes since
# Debian 13. current/*.go says what it has: all that k8s.io/apiserver and k8s.io/apiextensions-apiserver do.
#
# Nothing is installed, and the machine's own configuration of apt is not changed: packages are unpacked into a folder
# of the cache, which is removed afterwards.
set -euo pipefail

version=1.36.4
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/current" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/kgctl
built=$cache/apiserver-$version-$(uname -m)
archive=${KGCTL_DEBIAN:-http://deb.debian.org/debian}
pinned=$(<"$here/packages.txt")

say() { echo "apiserver-current: $*" >&2; }

[[ -x $built/kube-apiserver && -x $built/etcd && -z ${1:-} ]] && echo "$built" && exit
command -v apt-get dpkg-deb >/dev/null || { say "it can be built on Debian only"; exit 1; }
[[ ${1:-} == --newest ]] && pinned=$(sed "s/=.*//" "$here/packages.txt")

mkdir -p "$cache"
exec 9>"$cache/lock-current"
flock 9
[[ -x $built/kube-apiserver && -z ${1:-} ]] && echo "$built" && exit

log=$cache/build-current.log
work=$(mktemp -d "$cache/build-current.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'say "step \"$step\" failed: $(tail -n 1 "$log"). The whole log: $log"' ERR
begin() {
  step=$1
  say "$step"
  echo "== $step" >>"$log"
}
: >"$log"

begin "fetching $(wc -l <"$here/packages.txt") packages of Debian unstable, 84 MB"
# The libraries of 1.36 are in unstable alone. A version that is no longer there makes this step fail: take --newest, or
# set KGCTL_DEBIAN to a day of snapshot.debian.org.
mkdir -p "$work"/{apt,state,lists/partial,debs,root}
touch "$work/status"  # of a machine without any package, whatever this one has
cat >"$work/unstable.sources" <<S
Types: deb
URIs: $archive
Suites: sid
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
S
apt=(apt-get -q -oDir::Etc::sourcelist="$work/unstable.sources" -oDir::Etc::sourceparts=/dev/null
  -oDir::State="$work/state" -oDir::State::Lists="$work/lists" -oDir::State::status="$work/status"
  -oDir::Cache="$work/apt" -oAPT::Sandbox::User=root)
"${apt[@]}" update >>"$log" 2>&1
# shellcheck disable=SC2086
(cd "$work/debs" && "${apt[@]}" download $pinned >>"$log" 2>&1)

begin "unpacking them"
for package in "$work"/debs/*.deb; do dpkg-deb -x "$package" "$work/root"; done
go=$(echo "$work"/root/usr/lib/go-*)
# Debian's layout of libraries is that of GOPATH; without modules, go asks no proxy
export GOROOT=$go GOPATH=$work/own:$work/root/usr/share/gocode GO111MODULE=off GOTOOLCHAIN=local
export GOCACHE=$work/gocache CGO_ENABLED=0 GOFLAGS="-trimpath -p=${KGCTL_BUILD_JOBS:-2}" PATH=$go/bin:$PATH
own=$work/own/src/kgctl.test/apiserver
mkdir -p "$own/openapi"
cp "$here"/*.go "$own"

begin "generating the OpenAPI definitions of the built-in kinds, which are no part of the libraries"
go build -o "$work/openapi-gen" k8s.io/kube-openapi/cmd/openapi-gen >>"$log" 2>&1
: >"$work/header"
# the server needs them to merge patches; the definitions of the extensions come with their library
"$work/openapi-gen" --go-header-file "$work/header" -r "$work/violations" --output-dir "$own/openapi" \
  --output-pkg kgctl.test/apiserver/openapi --output-file generated.go \
  k8s.io/api/{apps,authentication,authorization,coordination,core,discovery,networking,rbac}/v1 \
  k8s.io/apimachinery/pkg/{api/resource,apis/meta/v1,runtime,util/intstr,version} >>"$log" 2>&1

begin "compiling, about 8 minutes"
flags="-s -w"
for library in component-base/version client-go/pkg/version; do  # as in build.sh
  library=k8s.io/$library
  flags+=" -X $library.gitVersion=v$version -X $library.gitMajor=1 -X $library.gitMinor=36"
done
mkdir "$work/done"
go build -ldflags "$flags" -o "$work/done/kube-apiserver" kgctl.test/apiserver >>"$log" 2>&1
cp "$work/root/usr/bin/etcd" "$work/done/etcd"  # needs glibc 2.34, which Debian 12 has

rm -rf "$built"
mv "$work/done" "$built"
say "ready in $built"
echo "$built"
