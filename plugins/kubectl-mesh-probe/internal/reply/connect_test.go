package reply

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestReadConnect(t *testing.T) {
	t.Parallel()
	peer := netip.MustParseAddrPort("10.1.2.15:5432")
	opened := Reply{Connected: true, Peer: peer, Latency: 1500 * time.Microsecond, Connect: 1500 * time.Microsecond, Measured: true}
	failed := func(class Class, message string) Reply { return Reply{Class: class, Message: message} }
	for name, tc := range map[string]struct {
		output string
		code   string
		want   Reply
	}{
		"opened":                      {"= 1700000000000000 1700000000001500 0F02010A:1538\n", "0", opened},
		"a note before it":            {"Connection to db 5432 port [tcp/*] succeeded!\n= 1700000000000000 1700000000001500 0F02010A:1538\n", "0", opened},
		"no clock":                    {"= - - 0F02010A:1538\n", "0", Reply{Connected: true, Peer: peer}},
		"no table":                    {"= - - -\n", "0", Reply{Connected: true}},
		"a clock that went back":      {"= 5 3 -\n", "0", Reply{Connected: true, Measured: true}},
		"closed before it was seen":   {"", "0", Reply{Connected: true}},
		"bash, refused":               {"mesh-probe: connect: Connection refused\nmesh-probe: line 12: /dev/tcp/db/5432: Connection refused\n", "1", failed(ClassRefused, "connect: Connection refused")},
		"bash, unknown name":          {"mesh-probe: db: Name or service not known\nmesh-probe: line 1: /dev/tcp/db/5432: Invalid argument\n", "1", failed(ClassDNS, "db: Name or service not known")},
		"bash, no name server":        {"mesh-probe: db: Temporary failure in name resolution\n", "1", failed(ClassDNS, "db: Temporary failure in name resolution")},
		"bash, no route":              {"mesh-probe: connect: No route to host\n", "1", failed(ClassUnreachable, "connect: No route to host")},
		"bash, the kernel's time-out": {"mesh-probe: connect: Connection timed out\n", "1", failed(ClassConnectTimeout, "connect: Connection timed out")},
		"busybox, refused":            {"nc: can't connect to remote host (10.1.2.15): Connection refused\n", "1", failed(ClassRefused, "nc: can't connect to remote host (10.1.2.15): Connection refused")},
		"busybox, unknown name":       {"nc: bad address 'db'\n", "1", failed(ClassDNS, "nc: bad address 'db'")},
		"busybox, time-out":           {"nc: timed out\n", "1", failed(ClassConnectTimeout, "nc: timed out")},
		"busybox with musl, time-out": {"nc: db (10.1.2.15:5432): Operation timed out\n", "1", failed(ClassConnectTimeout, "nc: db (10.1.2.15:5432): Operation timed out")},
		"OpenBSD, refused":            {"nc: connect to db (10.1.2.15) port 5432 (tcp) failed: Connection refused\n", "1", failed(ClassRefused, "nc: connect to db (10.1.2.15) port 5432 (tcp) failed: Connection refused")},
		"OpenBSD, time-out":           {"nc: connect to 10.1.2.15 port 5432 (tcp) timed out: Operation now in progress\n", "1", failed(ClassConnectTimeout, "nc: connect to 10.1.2.15 port 5432 (tcp) timed out: Operation now in progress")},
		"OpenBSD, unknown name":       {"nc: getaddrinfo for host \"db\" port 5432: Name or service not known\n", "1", failed(ClassDNS, "nc: getaddrinfo for host \"db\" port 5432: Name or service not known")},
		"ncat, refused":               {"Ncat: Connection refused.\n", "1", failed(ClassRefused, "Ncat: Connection refused.")},
		"ncat, time-out":              {"Ncat: TIMEOUT.\n", "1", failed(ClassConnectTimeout, "Ncat: TIMEOUT.")},
		"traditional, unknown name":   {"db: forward host lookup failed: Host name lookup failure : Resource temporarily unavailable\n", "1", failed(ClassDNS, "db: forward host lookup failed: Host name lookup failure : Resource temporarily unavailable")},
		"traditional, refused":        {"(UNKNOWN) [10.1.2.15] 5432 (?) : Connection refused\n", "1", failed(ClassRefused, "(UNKNOWN) [10.1.2.15] 5432 (?) : Connection refused")},
		"curl, refused":               {"curl: (7) Failed to connect to db port 5432 after 0 ms: Couldn't connect to server\n", "7", failed(ClassRefused, "(7) Failed to connect to db port 5432 after 0 ms: Couldn't connect to server")},
		"curl, unknown name":          {"curl: (6) Could not resolve host: db\n", "6", failed(ClassDNS, "(6) Could not resolve host: db")},
		"curl, time-out":              {"curl: (28) Failed to connect to db port 5432 after 1001 ms: Timeout was reached\n", "28", failed(ClassConnectTimeout, "(28) Failed to connect to db port 5432 after 1001 ms: Timeout was reached")},
		"curl, DNS time-out":          {"curl: (28) Resolving timed out after 5000 milliseconds\n", "28", failed(ClassDNS, "(28) Resolving timed out after 5000 milliseconds")},
		"curl, time-out of something": {"curl: (28) Timeout was reached\n", "28", failed(ClassTool, "(28) Timeout was reached")},
		"no such program":             {"mesh-probe: 1: nc: not found\n", "127", failed(ClassTool, "1: nc: not found")},
		"a crash":                     {"", "139", failed(ClassTool, "the tool ended with code 139 (signal 11)")},
		"a wrapper's words about TLS": {"ssl: no certificate\n", "1", failed(ClassTool, "ssl: no certificate")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := ReadConnect(Record{Text: tc.code, Data: []byte(tc.output)}, false)
			if diff := cmp.Diff(tc.want, got, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); err != nil || diff != "" {
				t.Errorf("%v (-want +got)\n%s", err, diff)
			}
		})
	}
	for _, values := range []string{"1 2", "1 2 - -", "a 2 -", "-5 2 -", "1 2 0F02010A", "1 2 0F02010A:15380", "1 2 0F0201:1538"} {
		if got, err := ReadConnect(Record{Text: "0", Data: []byte("= " + values + "\n")}, false); err == nil {
			t.Errorf("%q: %+v", values, got)
		}
	}
	if _, err := ReadConnect(Record{Text: "x"}, false); err == nil {
		t.Error("an exit code that is not a number: no error")
	}
}

// A connection at which the batch was ended is a time-out, and those after it were not tried. After an interrupt it is not counted.
func TestCutConnect(t *testing.T) {
	t.Parallel()
	last := &Record{Text: "0", Data: []byte("= - - -\n")}
	for name, tc := range map[string]struct {
		block   Block
		classes []Class
		unsent  int
	}{
		"complete":             {Block{Requests: 3, Records: 3, Record: last}, []Class{""}, 0},
		"ended":                {Block{Requests: 5, Records: 3, Record: last, Killed: true, Code: 143}, []Class{"", ClassConnectTimeout}, 1},
		"ended at the first":   {Block{Requests: 5, Killed: true, Code: 143}, []Class{ClassConnectTimeout}, 4},
		"interrupted":          {Block{Requests: 5, Records: 1, Record: last, Cancelled: true, Code: 143}, []Class{""}, 4},
		"it ended by itself":   {Block{Requests: 2, Code: 2}, []Class{ClassTool}, 1},
		"open loop":            {Block{Requests: 1, Data: []byte("= - - -\n")}, []Class{""}, 0},
		"open loop, refused":   {Block{Requests: 1, Errs: []byte("nc: Connection refused\n"), Code: 1}, []Class{ClassRefused}, 0},
		"open loop, ended":     {Block{Requests: 1, Killed: true, Code: 143}, []Class{ClassConnectTimeout}, 0},
		"open loop, cancelled": {Block{Requests: 1, Cancelled: true, Code: 143}, nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := CutConnect(tc.block, false)
			var classes []Class
			for _, r := range got.Replies {
				classes = append(classes, r.Class)
			}
			if diff := cmp.Diff(tc.classes, classes); err != nil || diff != "" || got.Unsent != tc.unsent {
				t.Errorf("%v, %d unsent (-want +got)\n%s", err, got.Unsent, diff)
			}
		})
	}
}

func TestParseSocketAddress(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"0100007F:1F90":                         "127.0.0.1:8080",
		"0F02010A:0001":                         "10.1.2.15:1",
		"0000000000000000FFFF00000F02010A:1538": "10.1.2.15:5432", // IPv4 in a socket of IPv6
		"0000010000000000000000000A000000:0050": "[1::a]:80",
		"B80D01200000000067452301EFCDAB89:FFFF": "[2001:db8::123:4567:89ab:cdef]:65535",
	} {
		got, err := parseSocketAddress(text, false)
		if err != nil || got != netip.MustParseAddrPort(want) {
			t.Errorf("%s: %v %v, want %s", text, got, err, want)
		}
	}
	if got, err := parseSocketAddress("0A01020F:1538", true); err != nil || got.String() != "10.1.2.15:5432" {
		t.Errorf("big endian: %v %v", got, err)
	}
	for _, text := range []string{"", ":", "0100007F", "0100007F:", ":1538", "0100007:1538", "0100007F00:1538", "0100007F:15380", "0100007F:xyzw", "ghijklmn:1538", "0100007F:-538", "0100007F:+538"} {
		if got, err := parseSocketAddress(text, false); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func FuzzParseSocketAddress(f *testing.F) {
	f.Add("0F02010A:1538", false)
	f.Add("0000000000000000FFFF00000F02010A:1538", true)
	f.Fuzz(func(t *testing.T, text string, bigEndian bool) {
		if got, err := parseSocketAddress(text, bigEndian); err == nil && (!got.IsValid() || got.Addr().Is4In6()) {
			t.Errorf("%q: %v", text, got)
		}
	})
}

func FuzzReadConnect(f *testing.F) {
	f.Add("= 1 2 0F02010A:1538\n", "0")
	f.Add("curl: (7) Failed\n", "7")
	f.Add("mesh-probe: connect: Connection refused", "1")
	f.Fuzz(func(t *testing.T, output, code string) {
		r, err := ReadConnect(Record{Text: code, Data: []byte(output)}, false)
		if err == nil && r.Connected == (r.Class != "") || r.Latency < 0 || r.Peer.IsValid() && !r.Connected {
			t.Errorf("%q, code %q: %+v", output, code, r)
		}
	})
}
