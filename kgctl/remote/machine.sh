# The part of kgctl deploy, and of kgctl drift --all, that runs on a machine, as root.
#
# kgctl sends it to `sh -s` behind four functions that print its data: kgctl_settings (lines
# NAME=VALUE), kgctl_file (the new file), kgctl_steps (lines VERB VALUE) and kgctl_peers (the input
# of wg addconf). Any POSIX shell runs it. Nothing runs before the last line, so half a script does
# nothing. Each line of the answer begins with "kgctl "; the last one is "kgctl end". Private keys
# never leave the machine.
#
# A change is undone by a process that outlives the ssh session, unless the change is confirmed in
# time. Its directory holds the old file, and the file "pending" with a token. Whoever renames
# "pending" decides: the one who confirms, or the one who undoes.

say() { printf 'kgctl %s\n' "$*"; }

stop() {
	say error "$*"
	say end
	exit 0
}

# Print the last private key of a file, as wg reads it: without white space and comments.
private_key() {
	awk '{
		sub(/#.*/, ""); gsub(/[ \t\r\v\f]/, "")
		if (tolower(substr($0, 1, 11)) == "privatekey=") key = substr($0, 12)
	} END { if (key != "") print key }' "$1"
}

public_key() { private_key "$1" 2>/dev/null | wg pubkey 2>/dev/null; }

# Print the lines of a file, without those that could hold a private key.
file_lines() {
	awk '{
		line = tolower($0); gsub(/[ \t\r\v\f]/, "", line)
		if (index(line, "privatekey=") == 0) print "kgctl file: " $0
	}' "$1"
}

# Print what wg knows, without private keys, and without preshared keys of other interfaces.
dump_lines() {
	wg show all dump </dev/null | awk -v own="$interface" '
		BEGIN { FS = OFS = "\t" }
		NF != 9 { $2 = "(none)" }
		NF == 9 && $1 != own { $3 = "(none)" }
		{ print "kgctl dump: " $0 }'
}

is_enabled() { systemctl is-enabled --quiet "wg-quick@$interface.service" </dev/null 2>/dev/null; }

read_machine() {
	if [ -f "$conf" ]; then
		[ "$(wc -c <"$conf")" -le 4194304 ] || stop "large"
		say present
		file_key=$(public_key "$conf") && say key "$file_key"
		file_lines "$conf"
	elif [ -e "$conf" ] || [ -L "$conf" ]; then
		stop "irregular"
	fi
	if is_busy; then say pending; fi
	if is_enabled; then say enabled; fi
	dump_lines
	say end
}

# Return whether a change waits for its confirmation, or is being undone, by a process that lives.
is_busy() {
	read -r owner_boot owner 2>/dev/null <"$dir/owner" || return 1
	[ "$owner_boot" = "$(boot)" ] && kill -0 "$owner" 2>/dev/null
}

boot() { cat /proc/sys/kernel/random/boot_id 2>/dev/null || echo unknown; }

# Make the directory of this change; one that a dead process left behind goes.
claim() {
	mkdir -p -m 700 "${conf%/*}"
	mkdir "$dir" 2>/dev/null && return
	if is_busy; then stop busy; fi
	rm -rf "$dir"
	mkdir "$dir" || stop "failed cannot make $dir"
}

# Write the new file; a private key that kgctl does not know comes from the present file.
prepare() {
	if [ "$keep_key" = yes ]; then
		[ "$(public_key "$conf")" = "$public" ] || {
			rm -rf "$dir"
			stop key
		}
		kgctl_file | while IFS= read -r line; do
			printf '%s\n' "$line"
			if [ "$line" = '[Interface]' ]; then printf 'PrivateKey = %s\n' "$(private_key "$conf")"; fi
		done >"$dir/new"
	else
		kgctl_file >"$dir/new"
	fi
	if [ -f "$conf" ]; then cp -p "$conf" "$dir/old"; fi
	if wg show "$interface" </dev/null >/dev/null 2>&1; then : >"$dir/up"; fi
}

# Undo the change whose token is $4: the old file, and the tunnel as it was before.
undo='
interface=$1 dir=$2 conf=$3 token=$4
[ "$(cat "$dir/pending" 2>/dev/null)" = "$token" ] || exit 3
mv "$dir/pending" "$dir/undoing" 2>/dev/null || exit 3
if [ -f "$dir/applier" ]; then kill -9 "$(cat "$dir/applier")" 2>/dev/null; fi
wg-quick down "$interface" || ip link delete dev "$interface"
if [ -f "$dir/old" ]; then mv -f "$dir/old" "$conf"; else rm -f "$conf"; fi
if [ -f "$dir/up" ]; then wg-quick up "$interface" || exit 4; fi
rm -rf "$dir"
'

# Wait $5 seconds for somebody to take the token away, then undo.
watch='
trap "" HUP PIPE INT TERM
printf "%s %s\n" "$6" "$$" >"$2/owner"
left=$5
while [ "$left" -gt 0 ]; do
	sleep 1
	[ "$(cat "$2/pending" 2>/dev/null)" = "$4" ] || exit 0
	left=$((left - 1))
done
'"$undo"

undo() { sh -c "$undo" kgctl "$interface" "$dir" "$conf" "$token" </dev/null >/dev/null 2>&1; }

start_watch() {
	printf '%s\n' "$token" >"$dir/pending"
	printf '%s\n' "$$" >"$dir/applier"
	printf '%s %s\n' "$(boot)" "$$" >"$dir/owner"
	setsid=
	if command -v setsid >/dev/null 2>&1; then setsid=setsid; fi
	(
		trap '' HUP
		exec $setsid sh -c "$watch" kgctl-deploy "$interface" "$dir" "$conf" "$token" "$seconds" \
			"$(boot)"
	) </dev/null >/dev/null 2>&1 &
}

take_file() { [ -f "$dir/pending" ] && mv -f "$dir/new" "$conf"; }

carry_out() {
	case $method in
	file) take_file ;;
	live) take_file && kgctl_steps | steps ;;
	start) take_file && wg-quick up "$interface" ;;
	restart) wg-quick down "$interface" && take_file && wg-quick up "$interface" ;;
	*) false ;;
	esac
}

steps() {
	while read -r verb value; do
		step "$verb" "$value" </dev/null || return 1
	done
}

# Do one step of a change of the running tunnel. What is to go may be gone.
step() {
	case $2 in *:*) family=-6 ;; *) family=-4 ;; esac
	case $1 in
	remove) wg set "$interface" peer "$2" remove ;;
	peers) kgctl_peers >"$dir/peers" && wg addconf "$interface" "$dir/peers" ;;
	drop-preshared-key) wg set "$interface" peer "$2" preshared-key /dev/null ;;
	private-key) private_key "$conf" >"$dir/key" && wg set "$interface" private-key "$dir/key" ;;
	address-del) ip "$family" address del "$2" dev "$interface" || : ;;
	address-add) ip "$family" address replace "$2" dev "$interface" ;;
	mtu) ip link set mtu "$2" dev "$interface" ;;
	route-del) ip "$family" route del "$2" dev "$interface" ${table:+table "$table"} || : ;;
	route-add) ip "$family" route replace "$2" dev "$interface" ${table:+table "$table"} ;;
	*) false ;;
	esac
}

# Print the last line that a failed program wrote; wg-quick writes its commands after [#].
last_error() { grep -v '^\[#\]' "$dir/log" 2>/dev/null | tail -n 1 | cut -c 1-300; }

apply() {
	trap '' HUP PIPE
	if [ -L "$conf" ]; then stop "irregular"; fi
	command -v wg-quick >/dev/null 2>&1 || stop "missing wg-quick"
	claim
	prepare
	start_watch
	say applying
	if carry_out >"$dir/log" 2>&1 </dev/null; then
		rm -f "$dir/applier"
		say applied
		say end
		return
	fi
	why=$(last_error)
	rm -f "$dir/applier"
	if undo; then stop "undone $why"; else stop "failed $why"; fi
}

enable_unit() {
	[ "$enable" = yes ] || return 0
	if systemctl enable --quiet "wg-quick@$interface.service" </dev/null >/dev/null 2>&1; then
		say enabled
	else
		say not-enabled
	fi
}

confirm() {
	[ "$(cat "$dir/pending" 2>/dev/null)" = "$token" ] || stop gone
	mv "$dir/pending" "$dir/confirmed" 2>/dev/null || stop gone
	rm -rf "$dir"
	enable_unit
	say confirmed
	say end
}

roll_back() {
	if undo; then stop "undone"; else stop "gone"; fi
}

main() {
	set -u
	umask 077
	LC_ALL=C PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin WG_ENDPOINT_RESOLUTION_RETRIES=2
	export LC_ALL PATH WG_ENDPOINT_RESOLUTION_RETRIES
	mode='' interface='' method='' keep_key='' public='' table='' enable='' token='' seconds=60
	while IFS= read -r line; do
		name=${line%%=*} value=${line#*=} # keys end with = too
		case $name in
		mode) mode=$value ;;
		interface) interface=$value ;;
		method) method=$value ;;
		keep_key) keep_key=$value ;;
		public) public=$value ;;
		table) table=$value ;;
		enable) enable=$value ;;
		token) token=$value ;;
		seconds) seconds=$value ;;
		esac
	done <<KGCTL_SETTINGS
$(kgctl_settings)
KGCTL_SETTINGS
	conf=/etc/wireguard/$interface.conf
	dir=/etc/wireguard/.$interface.kgctl
	say start
	[ "$(id -u)" = 0 ] || stop root
	command -v wg >/dev/null 2>&1 || stop "missing wg"
	command -v awk >/dev/null 2>&1 || stop "missing awk"
	case $mode in
	read) read_machine ;;
	apply) apply ;;
	confirm) confirm ;;
	enable) enable_unit && say end ;;
	roll-back) roll_back ;;
	*) stop "failed unknown mode" ;;
	esac
}

main
