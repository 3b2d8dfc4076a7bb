#!/usr/bin/env bash
# Builds a real kube-apiserver for the tests, from Debian's source package with Debian's Go, and puts Debian's etcd
# beside it. Once a machine, about 6 minutes on two cores; afterwards it is found in the cache.
#
#   build.sh           build, unless both are there already
#   build.sh --where   print the directory that they are in, or would be in, and do nothing
#
# Where KUBEBUILDER_ASSETS names a directory with a kube-apiserver and an etcd, those are used and nothing is built.
# Without root, or on another system than Debian 12, nothing can be built: that is said, and the tests that need a
# server are skipped. With CI=true it is a failure.
set -euo pipefail

version=1.20.2
cache=${XDG_CACHE_HOME:-$HOME/.cache}/kgctl
built=$cache/kube-apiserver-$version-$(uname -m)
where=${KUBEBUILDER_ASSETS:-$built}

if [[ ${1:-} == --where ]]; then
  echo "$where"
  exit
fi
complete() { [[ -x $1/kube-apiserver && -x $1/etcd ]]; }

say() { echo "kube-apiserver: $*" >&2; }

cannot() {
  say "$*"
  say "To use another one, set KUBEBUILDER_ASSETS to a directory with kube-apiserver and etcd" \
    "(setup-envtest downloads one)."
  if [[ ${CI:-} == true ]]; then exit 1; fi
  say "Tests that need a server will be skipped."
  exit 0
}

complete "$where" && exit 0
[[ -z ${KUBEBUILDER_ASSETS:-} ]] || cannot "KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS holds no kube-apiserver and etcd."
# shellcheck source=/dev/null
[[ -r /etc/os-release ]] && codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}") || codename=
[[ $codename == bookworm && $(id -u) == 0 ]] || cannot "it can be built as root on Debian 12 only."

# one build at a time; whoever waited finds it done
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
complete "$built" && exit 0

log=$cache/build.log
work=$(mktemp -d "$cache/build.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'say "step \"$step\" failed: $(tail -n 1 "$log"). The whole log: $log"' ERR
begin() {
  step=$1
  say "$step"
  echo "== $step" >>"$log"
}
: >"$log"

begin "building $version from Debian's source, about 6 minutes, once a machine"

begin "installing Go, etcd and what unpacks a source package"
export DEBIAN_FRONTEND=noninteractive
apt-get -q update >>"$log" 2>&1
apt-get -q install -y --no-install-recommends \
  golang-1.19-go golang-github-modern-go-reflect2-dev etcd-server dpkg-dev xz-utils >>"$log" 2>&1

begin "fetching the source package"
# from the archive that this machine uses already, asked for sources too, with lists of its own: nothing of
# the machine's own configuration of apt is changed
archive=$({ cat /etc/apt/sources.list.d/*.sources /etc/apt/sources.list 2>/dev/null || true; } |
  sed -nE 's/^(URIs:|deb) +(\[[^]]*\] +)?(https?:[^ ]+).*/\3/p' | grep -v security | head -n 1 || true)
mkdir -p "$work/lists/partial"
cat >"$work/source.sources" <<S
Types: deb-src
URIs: ${archive:-http://deb.debian.org/debian}
Suites: $codename
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
S
apt_source=(apt-get -q -oDir::Etc::sourcelist="$work/source.sources" -oDir::Etc::sourceparts=/dev/null
  -oDir::State::Lists="$work/lists" -oAPT::Sandbox::User=root)
"${apt_source[@]}" update >>"$log" 2>&1
(cd "$work" && "${apt_source[@]}" source --download-only kubernetes >>"$log" 2>&1)

begin "unpacking it"
export GOPATH=$work/go GOCACHE=$work/gocache GO111MODULE=off CGO_ENABLED=0 PATH=/usr/lib/go-1.19/bin:$PATH
mkdir -p "$GOPATH/src/k8s.io/kubernetes"
tar -xf "$work"/kubernetes_*"$version".orig.tar.* -C "$GOPATH/src/k8s.io/kubernetes" --strip-components=1 >>"$log" 2>&1
cd "$GOPATH/src/k8s.io/kubernetes"
# the reflect2 of 2018 that the source carries walks maps wrongly under Go 1.18 and newer: take Debian's
rm -r vendor/github.com/modern-go/reflect2
cp -r /usr/share/gocode/src/github.com/modern-go/reflect2 vendor/github.com/modern-go/reflect2

begin "generating the OpenAPI definitions, which the source package leaves out"
go build -o "$work/openapi-gen" k8s.io/kubernetes/vendor/k8s.io/kube-openapi/cmd/openapi-gen >>"$log" 2>&1
packages=$(grep -rl --include='*.go' '+k8s:openapi-gen=true' pkg staging/src cmd | xargs -n1 dirname | sort -u |
  grep -vE 'example|sample-|/testdata/' |
  sed -e 's#^staging/src/#k8s.io/kubernetes/vendor/#' -e 's#^\(pkg\|cmd\)#k8s.io/kubernetes/\1#' | paste -sd,)
"$work/openapi-gen" -h hack/boilerplate/boilerplate.generatego.txt -i "$packages" \
  -p k8s.io/kubernetes/pkg/generated/openapi -O zz_generated.openapi -r "$work/violations" >>"$log" 2>&1

begin "compiling"
# the source package does not say which version it is, and two libraries want to know
flags="-s -w"
for library in component-base/version client-go/pkg/version; do
  library=k8s.io/kubernetes/vendor/k8s.io/$library
  flags+=" -X $library.gitVersion=v$version -X $library.gitMajor=1 -X $library.gitMinor=20"
done
mkdir "$work/done"
go build -trimpath -ldflags "$flags" -o "$work/done/kube-apiserver" k8s.io/kubernetes/cmd/kube-apiserver >>"$log" 2>&1
cp /usr/bin/etcd "$work/done/etcd"

# whole or not at all: the name appears when everything is in it
rm -rf "$built"
mv "$work/done" "$built"
say "ready in $built"
