package tool

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/request"
)

func TestFind(t *testing.T) {
	t.Parallel()
	box := func(flags string) string {
		return "BusyBox v1.36.1 (2024-06-10 07:11:47 UTC) multi-call binary.\n\nUsage: wget [-cqS] " + flags + "[-O FILE] URL...\n\n\t-S    \t\tShow server response\n"
	}
	busyboxTraits := Traits{Name: "busybox wget", Version: "1.36.1", Flag: "wget", MaxBatch: 1000, NeedsLength: true}
	withTimeout := busyboxTraits
	withTimeout.LimitsTime, withTimeout.WholeSeconds = true, true
	curlTraits := Traits{Name: "curl", Version: "8.5.0", Flag: "curl", MaxBatch: 4000, LimitsTime: true, Measures: true}
	gnuTraits := func(version string) Traits {
		return Traits{Name: "GNU wget", Version: version, Flag: "wget", MaxBatch: 1000, LimitsTime: true}
	}
	tests := map[string]struct {
		help map[string]string
		want []Traits
	}{
		"alpine":                    {map[string]string{"wget": box("[-T SEC] ") + "\t-T SEC\t\tNetwork read timeout is SEC seconds\n", "busybox": box("")}, []Traits{withTimeout}},
		"debian's busybox lacks -T": {map[string]string{"busybox": box("")}, []Traits{busyboxTraits}},
		"busybox without wget":      {map[string]string{"busybox": "wget: applet not found\n"}, nil},
		"old busybox": {
			map[string]string{"wget": "BusyBox v1.24.2 (2017-05-25 17:33:39 CEST) multi-call binary.\n\nUsage: wget [-c|--continue] [-q|--quiet] URL...\n"},
			[]Traits{{Name: "busybox wget", Version: "1.24.2", Flag: "wget", MaxBatch: 1, NeedsLength: true}},
		},
		"curl first": {
			map[string]string{"curl": "curl 8.5.0 (x86_64-alpine-linux-musl) libcurl/8.5.0\nRelease-Date: 2023-12-06\n", "wget": "GNU Wget 1.21.3, a non-interactive network retriever.\n"},
			[]Traits{curlTraits, gnuTraits("1.21.3")},
		},
		"old curl last": {
			map[string]string{"curl": "curl 7.29.0 (x86_64-redhat-linux-gnu)\n", "wget": "GNU Wget 1.14, a non-interactive network retriever.\n"},
			[]Traits{gnuTraits("1.14"), {Name: "curl", Version: "7.29.0", Flag: "curl", MaxBatch: 1, LimitsTime: true, WholeSeconds: true, Measures: true}},
		},
		"curl 7.32": {
			map[string]string{"curl": "curl 7.32.0 (x86_64-redhat-linux-gnu)\n"},
			[]Traits{{Name: "curl", Version: "7.32.0", Flag: "curl", MaxBatch: 1, LimitsTime: true, Measures: true}},
		},
		"wget2": {
			map[string]string{"wget": "GNU Wget2 V1.99.1 - multithreaded metalink/file/website downloader\n"},
			[]Traits{{Name: "GNU wget2", Version: "1.99.1", Flag: "wget", MaxBatch: 1, LimitsTime: true}},
		},
		"nothing": {map[string]string{}, nil},
		"junk":    {map[string]string{"curl": "sh: curl: Permission denied", "wget": "Segmentation fault"}, nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []Traits
			for _, one := range Find(tc.help) {
				got = append(got, one.Traits())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	tools := []Tool{curl{}, busybox{}, gnu{wget{options: []string{"--method"}}}}
	for _, tc := range []struct{ flag, method, name string }{
		{"auto", "GET", "curl"}, {"wget", "GET", "busybox wget"}, {"wget", "HEAD", "GNU wget"}, {"curl", "HEAD", "curl"},
	} {
		if got, err := Choose(tools, tc.flag, request.Request{Method: tc.method}); err != nil || got.Traits().Name != tc.name {
			t.Errorf("%+v: %v %v", tc, got, err)
		}
	}
	if _, err := Choose([]Tool{busybox{}}, "auto", request.Request{Method: "HEAD"}); err == nil {
		t.Error("busybox cannot send HEAD")
	}
	if _, err := Choose([]Tool{busybox{}}, "curl", request.Request{Method: "GET"}); !errors.Is(err, ErrNoTool) {
		t.Errorf("error %v", err)
	}
	if _, err := Choose(nil, "auto", request.Request{Method: "GET"}); !errors.Is(err, ErrNoTool) {
		t.Errorf("error %v", err)
	}
}

// In a pod with curl and wget, curl sends a secret header, also if it is old. wget sends it only if that is allowed.
func TestFieldDSecretHeadersChooseTheTool(t *testing.T) {
	t.Parallel()
	tools := []Tool{gnu{}, curl{version: "7.29.0"}}
	for header, want := range map[string]string{
		"Authorization: Bearer x": "curl", "Cookie: a=b": "curl", "X-Forwarded-For: 1": "curl", "Acceptance: x": "curl",
		"Accept: text/html": "GNU wget", "Accept-Encoding: gzip": "GNU wget", "HOST: x": "GNU wget", "user-agent: x": "GNU wget", "Content-Type: x": "GNU wget",
	} {
		if got, err := Choose(tools, "auto", request.Request{Method: "GET", Headers: []string{header}}); err != nil || got.Traits().Name != want {
			t.Errorf("%s: %v %v, want %s", header, got, err, want)
		}
	}
	if got, err := Choose(tools, "auto", request.Request{Method: "GET", Headers: []string{"Cookie: a"}, AllowVisibleHeaders: true}); err != nil || got.Traits().Name != "GNU wget" {
		t.Errorf("%v %v", got, err)
	}
}

// A tool that cannot send a request is refused by name.
func TestChooseRefusesByName(t *testing.T) {
	t.Parallel()
	resolve := request.Resolve{Host: "web", Port: 80, Address: netip.MustParseAddr("10.0.0.1")}
	for name, tc := range map[string]struct {
		tool Tool
		r    request.Request
		want string // "" if it can
	}{
		"curl":           {curl{raw: true}, request.Request{Method: "POST", Data: []byte("@a"), Resolve: resolve}, ""},
		"old curl":       {curl{}, request.Request{Method: "POST", Data: []byte("a@")}, ""},
		"old curl and @": {curl{version: "7.29.0"}, request.Request{Method: "POST", Data: []byte("@a")}, "curl 7.29.0 cannot send --data that starts with @"},
		"GNU":            {gnu{wget{options: []string{"--method"}}}, request.Request{Method: "DELETE"}, ""},
		"old GNU":        {gnu{wget{version: "1.14"}}, request.Request{Method: "DELETE"}, "GNU wget 1.14 cannot send DELETE requests"},
		"GNU, data":      {gnu{wget{options: []string{"--method"}}}, request.Request{Method: "POST", Data: []byte{}}, "takes --data on its command line"},
		"GNU, resolve":   {gnu{}, request.Request{Method: "GET", Resolve: resolve}, "GNU wget has no option like --resolve"},
		"busybox":        {busybox{}, request.Request{Method: "POST"}, "busybox wget cannot send POST requests"},
		"busybox, HEAD":  {busybox{}, request.Request{Method: "HEAD"}, "busybox wget cannot send HEAD requests"},
		"wget2, OPTIONS": {wget2{}, request.Request{Method: "OPTIONS"}, "GNU wget2 cannot send OPTIONS requests"},
		"wget2, resolve": {wget2{}, request.Request{Method: "GET", Resolve: resolve}, "GNU wget2 has no option like --resolve"},
	} {
		_, err := Choose([]Tool{tc.tool}, "auto", tc.r)
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
