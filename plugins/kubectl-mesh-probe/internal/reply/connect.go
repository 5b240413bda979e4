package reply

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// The lines that dial in dial.sh prints for one connection: one that starts with "=" if it was opened, and what the shell or the tool printed.
//
//	= 1700000000000000 1700000000001500 0A01020F:1538

// CutConnect reads what a batch of connections printed after the last record that was read. bigEndian says that the pod's kernel prints
// addresses with the most significant byte of each number first.
func CutConnect(b Block, bigEndian bool) (Cut, error) {
	var c Cut
	missing := b.Requests - b.Records
	if b.Record != nil {
		r, err := ReadConnect(*b.Record, bigEndian)
		if err != nil {
			return Cut{}, err
		}
		c.Replies = []Reply{r}
	} else if b.Requests == 1 && !b.Killed && !b.Cancelled {
		// The open loop has no records: the connection has a process of its own.
		r, err := readConnect(string(b.Data)+"\n"+string(b.Errs), b.Code, bigEndian)
		return Cut{Replies: []Reply{r}}, err
	}
	if missing <= 0 {
		return c, nil
	}
	rest := b
	rest.Requests = missing
	end := Cut{}.inFlight(rest, Reply{})
	for _, r := range end.Replies {
		if r.Class == ClassReadTimeout {
			r.Class, r.Message = ClassConnectTimeout, "no connection within the time limit"
		}
		c.Replies = append(c.Replies, r)
	}
	c.Unsent = end.Unsent
	return c, nil
}

// ReadConnect reads the record of one connection, which has the exit code, and the output before it.
func ReadConnect(rec Record, bigEndian bool) (Reply, error) {
	code, err := strconv.Atoi(strings.TrimSpace(rec.Text))
	if err != nil {
		return Reply{}, fmt.Errorf("the pod's output is broken: the record %q of a connection", rec.Text)
	}
	return readConnect(string(rec.Data), code, bigEndian)
}

func readConnect(output string, code int, bigEndian bool) (Reply, error) {
	var text string
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if values, ok := strings.CutPrefix(line, "= "); ok {
			return readOpened(values, bigEndian)
		}
		text = cmp.Or(text, line)
	}
	text = strings.TrimPrefix(text, "mesh-probe: ") // the name of the shell
	r := Reply{Message: text}
	switch _, isCurl := strings.CutPrefix(text, "curl: ("); {
	case code == 0:
		return Reply{Connected: true}, nil // the server closed the connection before the script saw the socket
	case isCurl:
		r.Message = curlMessage([]byte(text))
		r.Class = curlClass(code, 0, r.Message)
	case text == "":
		r.Class, r.Message = ClassTool, toolEnded(code)
	default:
		r.Class = classOf(text)
	}
	switch r.Class {
	case ClassReadTimeout: // nothing is read
		r.Class = ClassConnectTimeout
	case ClassUnknown, ClassTLS, ClassEmpty, ClassTruncated:
		r.Class = ClassTool
	}
	return r, nil
}

// readOpened reads the values of a connection that was opened: start, end and the address of the other side. A value that the pod does not know is "-".
func readOpened(values string, bigEndian bool) (Reply, error) {
	broken := func() (Reply, error) {
		return Reply{}, fmt.Errorf("the pod's output is broken: the values %q of a connection", values)
	}
	f := strings.Fields(values)
	if len(f) != 3 {
		return broken()
	}
	r := Reply{Connected: true}
	if f[0] != "-" && f[1] != "-" {
		start, err1 := strconv.ParseInt(f[0], 10, 64)
		end, err2 := strconv.ParseInt(f[1], 10, 64)
		if err1 != nil || err2 != nil || start < 0 || end < 0 {
			return broken()
		}
		// The clock of a node may be set back.
		r.Latency, r.Measured = time.Duration(max(0, end-start))*time.Microsecond, true
		r.Connect = r.Latency
	}
	if f[2] != "-" {
		var err error
		if r.Peer, err = parseSocketAddress(f[2], bigEndian); err != nil {
			return broken()
		}
	}
	return r, nil
}

// parseSocketAddress reads an address as /proc/net/tcp and /proc/net/tcp6 contain it: numbers of 32 bits in the byte order of the machine, and a port.
// An IPv4 address in IPv6 form is returned as IPv4.
func parseSocketAddress(text string, bigEndian bool) (netip.AddrPort, error) {
	bad := fmt.Errorf("%q is not the address of a socket", text)
	addr, port, ok := strings.Cut(text, ":")
	raw, err := hex.DecodeString(addr)
	number, err2 := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil || err2 != nil || len(port) != 4 || len(raw) != 4 && len(raw) != 16 {
		return netip.AddrPort{}, bad
	}
	if !bigEndian {
		for at := 0; at < len(raw); at += 4 {
			binary.BigEndian.PutUint32(raw[at:], binary.LittleEndian.Uint32(raw[at:]))
		}
	}
	ip, ok := netip.AddrFromSlice(raw)
	if !ok {
		return netip.AddrPort{}, bad
	}
	return netip.AddrPortFrom(ip.Unmap(), uint16(number)), nil
}
