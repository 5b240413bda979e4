# The part of the script that opens connections to which nothing is sent (tcp), in dash, busybox ash or bash. If the datapath picks backends at the
# socket, the kernel's table of sockets has the address of the backend. It is the table of the pod's network namespace.

# dialers shows what the pod has to open a connection. A bash without /dev/tcp does not find the file.
dialers() {
	say D nc
	if have nc; then nc -h 2>&1 </dev/null; fi
	say D busybox-nc
	if have busybox; then busybox nc --help 2>&1 </dev/null; fi
	say D bash
	if [ -n "$BASH_VERSION" ]; then echo "version $BASH_VERSION"; (: 5<>/dev/tcp/127.0.0.1/0) 2>&1
	elif have bash; then bash -c 'echo "version $BASH_VERSION"; : 5<>/dev/tcp/127.0.0.1/0' 2>&1 </dev/null
	fi
}

# hold COMMAND...: runs the command with descriptor 7, a pipe that nobody writes to and that has no end. A tool that reads it keeps its connection.
hold() {
	read -r M x </proc/self/stat
	(exec 7<>/proc/self/fd/0) 2>/dev/null && exec 7<>/proc/self/fd/0
	"$@"
}

# dials N COMMAND...: opens connections one after the other. Behind what each of them prints is a record with its exit code. TERM ends it.
dials() {
	n=$1 p= k=; shift
	trap 'k=1; [ -z "$p" ] || kill "$p" 2>/dev/null' TERM
	while [ -z "$k" ] && [ "$n" -gt 0 ]; do
		dial "$@" 2>&1 &
		p=$!
		[ -z "$k" ] || kill "$p" 2>/dev/null
		while wait "$p"; r=$?; [ "$r" -gt 128 ] && kill -0 "$p" 2>/dev/null; do :; done
		p=
		[ -n "$k" ] || say C "$r"
		n=$((n - 1))
	done
	[ -z "$k" ] || exit 143
}

# dial COMMAND...: opens one connection, by bash itself (/dev/tcp/HOST/PORT) or by a tool that stays connected. It prints a line that starts with = when
# the connection is open, and closes it. Without a connection it prints only what the shell or the tool says.
dial() {
	set -f
	L='
'
	now; a=$t
	case $1 in
	/dev/tcp/*) { now; inode; socket "${i:-none}" || y=; seen; } 5<>"$1"; return ;;
	esac
	c= q= n=0
	trap 'q=1; [ -z "$c" ] || kill "$c" 2>/dev/null' TERM
	"$@" <&7 >/dev/null 3<&- 4>&- 5>&- 6>&- 7<&- 8>&- &
	c=$!
	[ -z "$q" ] || kill "$c" 2>/dev/null
	# A process that has ended has no descriptors.
	while k=$(ls -l "/proc/$c/fd" 2>/dev/null); case $k in *'->'*) ;; *) false ;; esac; do
		for i in $k; do
			case $i in
			socket:*)
				i=${i#socket:?}
				socket "${i%?}" || continue
				now; seen
				kill "$c" 2>/dev/null
				wait "$c" 2>/dev/null
				return 0 ;;
			esac
		done
		n=$((n + 1))
		[ "$n" -lt 5 ] || sleep 0.02 2>/dev/null || sleep 1
	done
	wait "$c"
}

# seen prints when the connection was started, when it was open, and the address that the socket is connected to.
seen() { echo "= ${a:--} ${t:--} ${y:--}"; }

# inode sets i to the inode of descriptor 5. The kernel shows it there since Linux 5.14.
inode() {
	i=
	while read -r k v; do [ "$k" != ino: ] || i=$v; done </proc/self/fdinfo/5
	[ -n "$i" ] || { i=$(readlink /proc/self/fd/5); i=${i#socket:?}; i=${i%?}; }
} 2>/dev/null

# socket INODE: sets y to the address that a TCP socket is connected to. It fails if the socket is not connected (state 02: SYN_SENT) or not TCP.
socket() {
	x=$(grep -hF " $1 " /proc/net/tcp /proc/net/tcp6 2>/dev/null)
	set -- "$1" ${x%%"$L"*} # number, local and remote address, state, queues, timer, retransmits, user, timeout, inode
	y=$4
	[ "${11}" = "$1" ] && [ "$5" != 02 ]
}
