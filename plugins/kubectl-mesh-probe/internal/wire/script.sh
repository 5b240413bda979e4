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
	echo "sockets=$(have ls && have grep && echo a)"
	say D curl
	if have curl; then curl -q -V 2>&1 </dev/null; fi
	say D wget
	if have wget; then wget --help 2>&1 </dev/null; fi
	say D busybox
	if have busybox; then busybox wget --help 2>&1 </dev/null; fi
	[ -z "$1" ] || dialers
	say D
}

# batch N COMMAND...: replaces this shell by the command with the URL N times. It doubles a text with a URL on each line, because adding
# one word after the other to a long command is slow.
batch() {
	b=$1 d="$U
" l=; shift
	while [ "$b" -gt 0 ]; do
		[ $((b % 2)) = 0 ] || l=$l$d
		d=$d$d b=$((b / 2))
	done
	set -f
	IFS='
'
	exec "$@" $l
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
# right BYTES [COMMAND...]: starts left itself, if its stdin is a pipe that it can write to. Otherwise a TERM that arrives before the trap
# would end this shell only, and the tool would go on.
right() {
	trap 'k=1; [ -z "$p" ] || kill "$p" 2>/dev/null' TERM # p and k are those of work
	b=$1; shift
	if [ $# -gt 0 ]; then
		exec 5>/proc/self/fd/0
		left "$@" >&5 5>&- &
		exec 5>&-
	fi
	IFS= read -r p || IFS= read -r p
	[ -z "$k" ] || kill "$p" 2>/dev/null
	exec 5<&0
	head -c "$b" <&5 &
	while wait $!; [ $? -gt 128 ] && kill -0 $! 2>/dev/null; do :; done
	kill "$p" 2>/dev/null
	head -c 999999999 <&5 >/dev/null # until left ends
}

# work runs one batch after the other. USR1 ends the batch, TERM the run.
work() {
	exec 4>&-
	c=; k=; q=; z=0; p=
	: | (exec 5>/proc/self/fd/0) 2>/dev/null && H=1 || H=
	trap 'k=1; [ -z "$c" ] || kill "$c" 2>/dev/null' USR1
	trap 'q=1; [ -z "$c" ] || kill "$c" 2>/dev/null' TERM
	say W "$Z"
	say W >&2
	while [ -z "$q" ]; do
		# read may end without a line because of a signal.
		read -r op s n || { [ -n "$k" ] || break; k=; continue; }
		case $op in
		R|G|S) ;;
		Q) break ;;
		*) continue ;;
		esac
		k=
		say B "$s"
		case $G$op in
		listR) batch "$n" "$@" </dev/null & ;;
		globR) config "$n" | "$@" & ;;
		listG) clear; { limit; batch "$n" "$@"; } </dev/null >&6 2>&8 & ;;
		globG) clear; config "$n" | { limit; exec "$@"; } >&6 2>&8 & ;;
		tcpR) dials "$n" "$@" </dev/null & ;;
		tcpG) clear; { limit; dials "$n" "$@"; } </dev/null >&6 2>&8 & ;;
		*S) if [ -n "$H" ]; then : | right "$n" "$@" & else left "$@" | right "$n" & fi ;;
		esac
		c=$!
		[ -z "$k$q" ] || kill "$c" 2>/dev/null
		# wait ends early because of a trapped signal: wait again while the child runs. bash may return -1 if the signal comes at the child's end.
		while wait "$c"; r=$?; [ "$r" -ge 0 ] || r=143; [ "$r" -gt 128 ] && kill -0 "$c" 2>/dev/null; do :; done
		c=
		z=$((z + 1))
		[ $op != G ] || give 6
		say E "$s" "$r"
		# What the shell itself has printed, such as "Terminated", comes before G.
		[ $op != G ] || { say G && give 8; } >&2
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
		P) printf '%s H%s\n' "$N" "$(stored)" >&4 ;;
		Y) now; printf '%s Y %s\n' "$N" "$t" >&4 ;;
		"k "*) kill -TERM "${l#k }" 2>/dev/null ;;
		K) kill -USR1 $M ;;
		X) kill -TERM $M; return ;;
		Q) echo Q; return ;;
		*) printf '%s\n' "$l" ;;
		esac
	done
	kill -TERM $M
}

# fresh SUFFIX: creates a file f that only its owner can read. f is /dev/null if that is not possible. /dev/shm is memory.
fresh() {
	umask 077
	for d in /dev/shm /tmp /var/tmp; do
		f=$d/.mesh-probe-${N%????????????????????????}$1
		have rm && (set -C; : >"$f") 2>/dev/null && return
		f=/dev/null
	done
}

# store opens two files, as 6 and 8, and deletes them at once. A batch G writes its output there, and the pod sends it when the batch has
# ended, compressed by Z: replies that repeat cost almost nothing. If the pod cannot do this, Z stays empty.
store() {
	for z in 'gzip -1' 'busybox gzip -1'; do
		[ -n "$Z" ] || ! (ulimit -f 8192 && $z </dev/null >/dev/null) 2>/dev/null || Z=$z
	done
	[ -n "$Z" ] || return 0
	for x in 6 8; do
		fresh "$x"
		[ "$f" != /dev/null ] || { Z=; return 0; }
		if [ $x = 6 ]; then exec 6>>"$f"; else exec 8>>"$f"; fi
		rm -f "$f"
		[ ! -e "$f" ] && (: >/dev/fd/$x && : </dev/fd/$x) 2>/dev/null || Z=
	done
}
clear() { : >/dev/fd/6; : >/dev/fd/8; }
give() { [ ! -s "/dev/fd/$1" ] || $Z <"/dev/fd/$1" 2>/dev/null; }

# limit keeps a batch from filling the pod's memory: the tool may write 4 MiB (8 MiB in some shells) to a file.
limit() { ulimit -c 0; ulimit -f 8192; }

# stored prints how much a batch has written so far.
stored() { [ -z "$Z" ] || ! have wc || echo '' $(wc -c /dev/fd/6 /dev/fd/8 2>/dev/null); }

# trust NUMBER: writes the certificates to a file, which it deletes at once and keeps open as /dev/fd/9. /dev/shm is memory.
trust() {
	d=; why="cannot write to /dev/shm, /tmp or /var/tmp"
	have rm || why="there is no rm to delete the file"
	fresh 9
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

# settings reads how to run the tool: list, glob or tcp, the time limit of read, the URL, the lines of curl's configuration,
# and the words of the command. It then runs the words that it was given, followed by those of the command.
settings() {
	IFS= read -r G && IFS= read -r RT && IFS= read -r U && read -r n || exit 3
	C=
	while [ "$n" -gt 0 ]; do
		IFS= read -r l || exit 3
		C="$C$l
"
		n=$((n - 1))
	done
	read -r n || exit 3
	while [ "$n" -gt 0 ]; do
		IFS= read -r l || exit 3
		set -- "$@" "$l"
		n=$((n - 1))
	done
	exec 3<&0 4>&1
	"$@"
	exit 0
}

# run WORKER COMMAND...: runs the worker, with the plugin's orders on its stdin.
run() {
	w=
	trap '[ -z "$w" ] || kill -USR1 "$w" 2>/dev/null' USR1
	trap '[ -z "$w" ] || kill -TERM "$w" 2>/dev/null' TERM
	pump <&3 3<&- | "$@" 3<&- &
	w=$!
	while wait "$w"; [ $? -gt 128 ] && kill -0 "$w" 2>/dev/null; do :; done
	wait
}
begin_work() {
	store
	if [ "$G" = tcp ]; then : | hold run work "$@"; else run work "$@"; fi
}

# The open loop. Each request has its own process in the background, which starts at its time. Each line that is printed is one
# write of less than 4096 bytes, so that the lines of several processes do not mix.

# now sets t to the clock in microseconds, or to nothing if the shell has none.
now() { t=$EPOCHREALTIME; t=${t%.*}${t#*.}; }

# escape sets x to a text without line breaks. Only bash has a fast substitution in variables.
escape() { x=$1; swap = =e; swap "$L" =n; }
swap() {
	l=$x x=
	while :; do
		case $l in
		*"$1"*) x=$x${l%%"$1"*}$2 l=${l#*"$1"} ;;
		*) x=$x$l; return ;;
		esac
	done
}
first() { c=$(printf '%.1700s' "$y"); y=${y#"$c"}; }
if [ -n "$BASH_VERSION" ]; then eval 'escape() { x=${1//=/=e}; x=${x//$L/=n}; }'; fi
if (eval 'x=ab; [ "${x:1}" = b ]') 2>/dev/null; then eval 'first() { c=${y:0:1700}; y=${y:1700}; }'; fi

# put MORE LAST TEXT: prints a text in lines that start with MORE, the last of them with LAST.
put() {
	y=$3
	while [ ${#y} -gt 1700 ]; do
		first
		escape "$c"
		printf '%s %s %s' "$N" "$1" "$x$L" >&4
	done
	escape "$y"
	printf '%s %s %s' "$N" "$2" "$x$L" >&4
}

# become COMMAND...: prints the process id and the time, and becomes the tool.
become() {
	read -r p x </proc/self/stat
	now
	printf '%s P %s %s %s\n' "$N" "$s" "$p" "$t" >&4
	[ "$G" != tcp ] || { dial "$@"; exit; }
	exec "$@" 3<&- 4>&- 5>&- 7<&-
}

# fetch COMMAND...: sends one request. What the tool prints goes to descriptor 5.
fetch() {
	case $G in
	glob) e=$(config 1 | become "$@" 2>&1 >&5) ;;
	tcp) e=$(become "$@" 2>&1 >&5 </dev/null) ;;
	*) e=$(become "$@" "$U" 2>&1 >&5 </dev/null) ;;
	esac
	r=$?
	now
	put "E $s" "R $s $r $t" "$e"
}

# launch OP ID BYTES COMMAND...: one request. The dot keeps line breaks at the end of a body. The beginning of a large
# body is enough.
launch() {
	trap - TERM
	o=$1 s=$2 n=$3; shift 3
	if [ "$o" = S ]; then o=$(fetch "$@" 5>&1 | head -c "$n"; echo .)
	else o=$(fetch "$@" 5>&1; echo .)
	fi
	o=${o%.}
	[ ${#o} -le 24000 ] || o=$(printf '%.24000s' "$o")
	put "M $s" "F $s" "$o"
}

# await TIME: waits until the clock shows TIME, at most two seconds.
await() {
	while now; d=$(($1 - t)); [ -z "$q" ] && [ "$d" -gt 1000 ] && [ "$d" -lt 2000000 ]; do
		[ "$d" -lt 900000 ] || d=900000
		d=$((d + 1000000))
		read -r -t "0.${d#1}" x <&7
	done
}

# mates sets l to the processes of this exec that run. A container's runtime gives each exec a process group of its own, whose number is
# that of its first process. If it does not, l is empty.
mates() {
	l=
	for d in /proc/[0-9]*/stat; do
		{ IFS= read -r x <"$d"; } 2>/dev/null || continue
		p=${x%% *}
		set -- ${x##*) }
		[ "$3" != $$ ] || [ "$1" = Z ] || l="$l$p "
	done
}

# reap ends the requests that are under way. It looks until none is left, because one may be missed while it is being started: a parent
# that is ended leaves its child to another one.
reap() {
	e=TERM
	for i in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
		mates
		r=
		for p in $l; do
			case $kept in *" $p "*) continue ;; esac
			r=1
			kill -$e "$p" 2>/dev/null
		done
		[ -n "$r" ] || return 0
		[ $i -lt 8 ] || e=KILL
	done
}

# launches COMMAND...: starts requests when they are ordered, or at the time that the order names. TERM ends the run.
launches() {
	q=; z=0
	trap 'q=1' TERM
	trap - USR1
	mates
	kept=" $l"
	say W "$K"
	while [ -z "$q" ]; do
		read -r op s n at || break
		case $op in
		O|S) ;;
		A) now; a=$t; "$1" -q -V >/dev/null 2>&1 </dev/null; now; say A "$a" "$t"; continue ;;
		Q) break ;;
		*) continue ;;
		esac
		[ -z "$at" ] || await "$at"
		[ -z "$q" ] || break
		launch "$op" "$s" "$n" "$@" &
		z=$((z + 1))
		jobs >/dev/null # forgets those that have ended
	done
	while :; do
		[ -z "$q" ] || reap
		wait
		[ $? -gt 128 ] || break
	done
	[ -z "$q" ] || reap
	say Z "$z"
}

# open COMMAND...: runs the open loop. Descriptor 7 is a pipe that nobody writes to: waiting for it is a sleep without a process. It
# works if the shell's read takes fractions of a second. The second answer says whether there is a clock.
open() {
	read -r M x </proc/self/stat
	L='
'
	K='no no'
	now; a=$t
	if [ -n "$t" ]; then
		(exec 7<>/proc/self/fd/0) 2>/dev/null && exec 7<>/proc/self/fd/0
		(read -r -t 0.05 x <&7) 2>/dev/null
		now; d=$((t - a))
		if [ "$d" -le 0 ]; then now() { t=; }
		elif [ "$d" -gt 45000 ]; then K='yes yes'
		else K='no yes'
		fi
	else
		now() { t=; }
	fi
	run launches "$@"
}
begin_open() {
	if [ "$G" = tcp ]; then : | hold open "$@"; else : | open "$@"; fi
}

M=$$ Z=
IFS= read -r N || exit 3
say V 1
# The plugin may be gone before the run begins.
(read -r -t 1 l </dev/null) 2>/dev/null
[ $? -gt 1 ] && RT= || RT='-t 15'
while IFS= read -r $RT l; do
	case $l in
	detect) detect ;;
	detect-tcp) detect tcp ;;
	bash) exec bash -c "$s" mesh-probe ;; # s is this text
	run) settings begin_work ;;
	open) settings begin_open ;;
	trust) read -r n && trust "$n" ;;
	Q|X) exit 0 ;;
	esac
done
