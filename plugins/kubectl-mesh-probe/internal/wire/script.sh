# The part of kubectl mesh-probe that runs in the pod, in dash, busybox ash or bash.
# This text is constant. URL, headers and settings follow as data lines on stdin.
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

# batch N COMMAND...: replaces this shell by the command with the URL N times.
batch() {
	b=$1; shift
	while [ "$b" -gt 0 ]; do set -- "$@" "$U"; b=$((b - 1)); done
	exec "$@"
}

# curl reads its settings from stdin, so that ps does not show a token in a header.
config() { printf '%s' "$C"; printf 'url = "%s#[1-%s]"\n' "$U" "$1"; }

# left and right are the two ends of a pipe that passes on a limited number of bytes. The first line of the command is
# its process id, so that right can also end it while it is silent. left reports its exit code.
left() {
	if [ "$G" = glob ]; then
		config 1 | sh -c 'echo $$; exec "$@"' sh "$@"
	else
		sh -c 'echo $$; exec "$@"' sh "$@" "$U" </dev/null
	fi
	say T $? >&2
}
right() {
	p=; k=
	trap 'k=1; [ -z "$p" ] || kill "$p" 2>/dev/null' TERM
	IFS= read -r p || IFS= read -r p
	[ -z "$k" ] || kill "$p" 2>/dev/null
	exec 5<&0
	head -c "$1" <&5 &
	while wait $!; [ $? -gt 128 ] && kill -0 $! 2>/dev/null; do :; done
	kill "$p" 2>/dev/null
	head -c 999999999 <&5 >/dev/null # until left ends
}

# work runs one batch after the other. USR1 ends the batch, TERM the run.
work() {
	c=; k=; q=; z=0
	trap 'k=1; [ -z "$c" ] || kill "$c" 2>/dev/null' USR1
	trap 'q=1; [ -z "$c" ] || kill "$c" 2>/dev/null' TERM
	say W
	say W >&2
	while [ -z "$q" ]; do
		# read may end without a line because of a signal.
		read -r op s n || { [ -n "$k" ] || break; k=; continue; }
		case $op in
		R|S) ;;
		Q) break ;;
		*) continue ;;
		esac
		k=
		say B "$s"
		case $G$op in
		listR) batch "$n" "$@" </dev/null & ;;
		globR) config "$n" | "$@" & ;;
		*S) left "$@" | right "$n" & ;;
		esac
		c=$!
		[ -z "$k$q" ] || kill "$c" 2>/dev/null
		# wait ends early because of a trapped signal: wait again while the child runs.
		while wait "$c"; r=$?; [ "$r" -gt 128 ] && kill -0 "$c" 2>/dev/null; do :; done
		c=
		z=$((z + 1))
		say E "$s" "$r"
		say E "$s" >&2
	done
	say Z "$z"
}

# pump passes on the plugin's lines. It ends the run when the plugin is gone: at the end of
# stdin, or when no line arrives for a while (if the shell's read can time out).
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

# trust NUMBER: writes the certificates to a file, which it deletes at once and keeps open as /dev/fd/9. /dev/shm is memory.
trust() {
	d=; why="cannot write to /dev/shm, /tmp or /var/tmp"
	have rm || why="there is no rm to delete the file"
	umask 077
	for d in /dev/shm /tmp /var/tmp; do
		f=$d/.mesh-probe-${N%????????????????????????}
		have rm && (set -C; : >"$f") 2>/dev/null && break
		f=/dev/null
	done
	n=$1 ok=1
	while [ "$n" -gt 0 ]; do
		IFS= read -r l || exit 3
		printf '%s\n' "$l" || ok=
		n=$((n - 1))
	done >"$f" 2>/dev/null
	if [ "$f" = /dev/null ]; then say A "$why"; return; fi
	exec 9<"$f"
	rm -f "$f"
	if [ -z "$ok" ]; then say A "$d is full"
	elif [ -e "$f" ]; then say A "cannot delete $f"
	elif [ -r /dev/fd/9 ] && IFS= read -r l </dev/fd/9; then say A ok
	else say A "cannot read /dev/fd"
	fi
}

# run reads the settings: list or glob, the time limit of read, the URL, the lines of curl's
# configuration, and the words of the command.
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
	trust) read -r n && trust "$n" ;;
	Q|X) exit 0 ;;
	esac
done
