# kubectl mesh-probe, pod side: runs in dash, busybox ash and bash.
# This text is constant. URL, headers and settings come as data lines on stdin.
LC_ALL=C; export LC_ALL
say() { printf '%s %s\n' "$N" "$*"; }
have() { command -v "$1" >/dev/null 2>&1; }

detect() {
	say D shell
	echo "arch=$(uname -m 2>/dev/null)"
	echo "bash=$BASH_VERSION"
	(read -r -t 1 x </dev/null) 2>/dev/null; echo "read-t=$?"
	echo "head=$(echo ab | head -c 1 2>/dev/null)"
	say D curl
	if have curl; then curl -q -V 2>&1 </dev/null; fi
	say D wget
	if have wget; then wget --help 2>&1 </dev/null; fi
	say D busybox
	if have busybox; then busybox wget --help 2>&1 </dev/null; fi
	say D
}

# batch N COMMAND...: the command with the URL N times, in place of this shell.
batch() {
	b=$1; shift
	while [ "$b" -gt 0 ]; do set -- "$@" "$U"; b=$((b - 1)); done
	exec "$@"
}

# curl takes its settings from stdin, so that a header's token does not show in ps.
config() { printf '%s' "$C"; printf 'url = "%s#[1-%s]"\n' "$U" "$1"; }

# work runs one ordered block after the other. USR1 ends the block, TERM the run.
work() {
	c=; k=; q=; z=0
	trap 'k=1; [ -z "$c" ] || kill "$c" 2>/dev/null' USR1
	trap 'q=1; [ -z "$c" ] || kill "$c" 2>/dev/null' TERM
	say W
	while [ -z "$q" ]; do
		# A signal may end read without a line.
		read -r op s n || { [ -n "$k" ] || break; k=; continue; }
		case $op in
		R|S) ;;
		Q) break ;;
		*) continue ;;
		esac
		k=
		say B "$s"
		case $G$op in
		listR) batch "$n" "$@" </dev/null 2>&1 & ;;
		globR) config "$n" | "$@" 2>&1 & ;;
		listS) batch 1 "$@" </dev/null 2>&1 | head -c "$n" & ;;
		globS) config 1 | "$@" 2>&1 | head -c "$n" & ;;
		esac
		c=$!
		[ -z "$k$q" ] || kill "$c" 2>/dev/null
		# A trapped signal ends wait early: wait again while the child is there.
		while wait "$c"; r=$?; [ "$r" -gt 128 ] && kill -0 "$c" 2>/dev/null; do :; done
		c=
		z=$((z + 1))
		say E "$s" "$r"
	done
	say Z "$z"
}

# pump passes orders on and ends the run when the plugin is gone: at the end of
# stdin, or when nothing came for a while (where the shell can tell).
pump() {
	trap - USR1 TERM
	while IFS= read -r $RT l; do
		case $l in
		P) printf '%s H\n' "$N" >&4 ;;
		K) kill -USR1 $$ ;;
		X) kill -TERM $$; return ;;
		Q) echo Q; return ;;
		*) printf '%s\n' "$l" ;;
		esac
	done
	kill -TERM $$
}

# run reads the settings: list or glob, read's time limit, URL, the lines of curl's
# configuration, the words of the command.
run() {
	IFS= read -r G && IFS= read -r RT && IFS= read -r U && read -r n || exit 3
	C=
	while [ "$n" -gt 0 ]; do
		IFS= read -r l || exit 3
		C="$C$l
"
		n=$((n - 1))
	done
	read -r n || exit 3
	set --
	while [ "$n" -gt 0 ]; do
		IFS= read -r l || exit 3
		set -- "$@" "$l"
		n=$((n - 1))
	done
	exec 3<&0 4>&1
	w=
	trap '[ -z "$w" ] || kill -USR1 "$w" 2>/dev/null' USR1
	trap '[ -z "$w" ] || kill -TERM "$w" 2>/dev/null' TERM
	pump <&3 3<&- | work "$@" 3<&- 4>&- &
	w=$!
	while wait "$w"; [ $? -gt 128 ] && kill -0 "$w" 2>/dev/null; do :; done
	wait
	exit 0
}

IFS= read -r N || exit 3
say V 1
while IFS= read -r l; do
	case $l in
	detect) detect ;;
	run) run ;;
	Q|X) exit 0 ;;
	esac
done
