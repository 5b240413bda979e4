package tool

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/request"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/wire"
)

const (
	bashHelp    = "version 5.2.15(1)-release\nbash: connect: Connection refused\nbash: line 1: /dev/tcp/127.0.0.1/0: Connection refused\n"
	bashNoTCP   = "version 5.2.15(1)-release\nbash: line 1: /dev/tcp/127.0.0.1/0: No such file or directory\n"
	busyboxHelp = "BusyBox v1.35.0 (Debian 1:1.35.0-4+deb12u1+b1) multi-call binary.\n\nUsage: nc [-iN] [-wN] [-l] [-p PORT] [-f FILE|IPADDR PORT] [-e PROG]\n"
	alpineHelp  = "nc: unrecognized option: h\nBusyBox v1.36.1 (2024-06-10 07:11:47 UTC) multi-call binary.\n\nUsage: nc [OPTIONS] HOST PORT  - connect\n\t-w SEC\tTimeout for connects and final net reads\n"
	openbsdHelp = "OpenBSD netcat (Debian patchlevel 1.219-1)\nusage: nc [-46CDdFhklNnrStUuvZz] [-I length]\n"
	ncatHelp    = "Ncat 7.93 ( https://nmap.org/ncat )\nUsage: ncat [options] [hostname] [port]\n"
	oldHelp     = "[v1.10-47]\nconnect to somewhere:\tnc [-options] hostname port[s] [ports] ...\n"
	curlHelp    = "curl 7.88.1 (x86_64-pc-linux-gnu) libcurl/7.88.1\nProtocols: dict file http https telnet tftp\n"
	curlOld     = "curl 7.29.0 (x86_64-redhat-linux-gnu) libcurl/7.29.0\nProtocols: dict file http https telnet tftp\n"
	curlHTTP    = "curl 8.1.0 (x86_64-pc-linux-gnu) libcurl/8.1.0\nProtocols: http https\n"
)

// Which tools a pod's answers show, and with which words they open a connection.
func TestFindDialers(t *testing.T) {
	t.Parallel()
	target, err := request.ParseTarget("tcp://db.shop:5432")
	if err != nil {
		t.Fatal(err)
	}
	r := request.Request{Target: target, Timeout: 1500 * time.Millisecond}
	for name, tc := range map[string]struct {
		pod  wire.Pod
		want []string
	}{
		"bash and no ls":     {wire.Pod{Help: map[string]string{"bash": bashHelp, "nc": openbsdHelp}}, []string{"bash 5.2: /dev/tcp/db.shop/5432"}},
		"bash without it":    {wire.Pod{Sockets: true, Help: map[string]string{"bash": bashNoTCP}}, nil},
		"busybox":            {wire.Pod{Sockets: true, Help: map[string]string{"nc": busyboxHelp, "busybox-nc": busyboxHelp}}, []string{"busybox nc 1.35.0: nc -w 2 db.shop 5432"}},
		"busybox, no link":   {wire.Pod{Sockets: true, Help: map[string]string{"busybox-nc": busyboxHelp}}, []string{"busybox nc 1.35.0: busybox nc -w 2 db.shop 5432"}},
		"busybox without nc": {wire.Pod{Sockets: true, Help: map[string]string{"busybox-nc": "nc: applet not found\n"}}, nil},
		"alpine":             {wire.Pod{Sockets: true, Help: map[string]string{"nc": alpineHelp}}, []string{"busybox nc 1.36.1: nc -w 2 db.shop 5432"}},
		"OpenBSD":            {wire.Pod{Sockets: true, Help: map[string]string{"nc": openbsdHelp}}, []string{"OpenBSD nc: nc -v -w 2 db.shop 5432"}},
		"ncat":               {wire.Pod{Sockets: true, Help: map[string]string{"nc": ncatHelp}}, []string{"ncat 7.93: nc -w 2 db.shop 5432"}},
		"traditional":        {wire.Pod{Sockets: true, Help: map[string]string{"nc": oldHelp}}, []string{"traditional nc 1.10-47: nc -v -w 2 db.shop 5432"}},
		"curl":               {wire.Pod{Sockets: true, Help: map[string]string{"curl": curlHelp}}, []string{"curl 7.88.1: curl -q -s -S -N --noproxy * --connect-timeout 1.5 telnet://db.shop:5432"}},
		"old curl":           {wire.Pod{Sockets: true, Help: map[string]string{"curl": curlOld}}, []string{"curl 7.29.0: curl -q -s -S -N --noproxy * --connect-timeout 2 telnet://db.shop:5432"}},
		"curl without it":    {wire.Pod{Sockets: true, Help: map[string]string{"curl": curlHTTP}}, nil},
		"junk":               {wire.Pod{Sockets: true, Help: map[string]string{"nc": "Segmentation fault", "bash": "bash: Permission denied", "curl": "sh: curl: x"}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, one := range FindDialers(tc.pod) {
				p := one.Program(r, "")
				if !p.Dial || p.Expand || len(p.Config) > 0 {
					t.Errorf("program %+v", p)
				}
				got = append(got, one.Traits().String()+": "+strings.Join(p.Words, " "))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestDialersWithIPv6(t *testing.T) {
	t.Parallel()
	target, err := request.ParseTarget("tcp://[fd00::1]:80")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"/dev/tcp/fd00::1/80", "nc -w 1 fd00::1 80", "curl -q -s -S -N --noproxy * --connect-timeout 1 telnet://[fd00::1]:80"}
	var got []string
	for _, one := range FindDialers(wire.Pod{Sockets: true, Help: map[string]string{"bash": bashHelp, "nc": busyboxHelp, "curl": curlHelp}}) {
		got = append(got, strings.Join(one.Program(request.Request{Target: target, Timeout: time.Second}, "").Words, " "))
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

func TestChooseDialer(t *testing.T) {
	t.Parallel()
	dialers := FindDialers(wire.Pod{Sockets: true, Help: map[string]string{"nc": busyboxHelp, "curl": curlHelp}})
	for flag, want := range map[string]string{"auto": "busybox nc", "nc": "busybox nc", "curl": "curl"} {
		if got, err := ChooseDialer(dialers, flag); err != nil || got.Traits().Name != want {
			t.Errorf("%s: %v %v", flag, got, err)
		}
	}
	if _, err := ChooseDialer(dialers, "bash"); !errors.Is(err, ErrNoDialer) || !strings.Contains(err.Error(), "it has busybox nc") {
		t.Errorf("error %v", err)
	}
	if _, err := ChooseDialer(nil, "auto"); !errors.Is(err, ErrNoDialer) {
		t.Errorf("error %v", err)
	}
}
