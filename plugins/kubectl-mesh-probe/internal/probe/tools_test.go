package probe

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseToolbox(t *testing.T) {
	t.Parallel()
	busybox := func(flags string) string {
		return "BusyBox v1.36.1 (2024-06-10 07:11:47 UTC) multi-call binary.\n\nUsage: wget [-cqS] " + flags + "[-O FILE] URL...\n\n\t-S    \t\tShow server response\n"
	}
	tests := map[string]struct {
		sections map[string]string
		want     []Tool
	}{
		"alpine": {
			map[string]string{"wget": busybox("[-T SEC] ") + "\t-T SEC\t\tNetwork read timeout is SEC seconds\n", "busybox": busybox("")},
			[]Tool{{Kind: KindBusybox, Command: []string{"wget"}, Version: "1.36.1", Many: true, Timeout: true, Headers: true}},
		},
		"debian's busybox lacks -T": {
			map[string]string{"busybox": busybox("")},
			[]Tool{{Kind: KindBusybox, Command: []string{"busybox", "wget"}, Version: "1.36.1", Many: true, Headers: true}},
		},
		"busybox without wget": {map[string]string{"busybox": "wget: applet not found\n"}, nil},
		"old busybox": {
			map[string]string{"wget": "BusyBox v1.24.2 (2017-05-25 17:33:39 CEST) multi-call binary.\n\nUsage: wget [-c|--continue] [-q|--quiet] URL...\n"},
			[]Tool{{Kind: KindBusybox, Command: []string{"wget"}, Version: "1.24.2"}},
		},
		"curl first": {
			map[string]string{"curl": "curl 8.5.0 (x86_64-alpine-linux-musl) libcurl/8.5.0\nRelease-Date: 2023-12-06\n", "wget": "GNU Wget 1.21.3, a non-interactive network retriever.\n"},
			[]Tool{
				{Kind: KindCurl, Command: []string{"curl"}, Version: "8.5.0", Many: true, Timeout: true, Headers: true, Latency: true},
				{Kind: KindGNU, Command: []string{"wget"}, Version: "1.21.3", Many: true, Timeout: true, Headers: true},
			},
		},
		"old curl last": {
			map[string]string{"curl": "curl 7.29.0 (x86_64-redhat-linux-gnu)\n", "wget": "GNU Wget 1.14, a non-interactive network retriever.\n"},
			[]Tool{
				{Kind: KindGNU, Command: []string{"wget"}, Version: "1.14", Many: true, Timeout: true, Headers: true},
				{Kind: KindCurl, Command: []string{"curl"}, Version: "7.29.0", Timeout: true, Headers: true, Latency: true},
			},
		},
		"wget2": {
			map[string]string{"wget": "GNU Wget2 V1.99.1 - multithreaded metalink/file/website downloader\n"},
			[]Tool{{Kind: KindWget2, Command: []string{"wget"}, Version: "1.99.1", Timeout: true, Headers: true}},
		},
		"nothing": {map[string]string{}, nil},
		"junk":    {map[string]string{"curl": "sh: curl: Permission denied", "wget": "Segmentation fault"}, nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, parseToolbox(tc.sections).Tools); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
	box := parseToolbox(map[string]string{"shell": "arch=x86_64\nbash=\nread-t=2\nhead=a\n"})
	if diff := cmp.Diff(Toolbox{Arch: "x86_64", Head: true}, box); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	curl, gnu, busybox := Tool{Kind: KindCurl}, Tool{Kind: KindGNU, Options: []string{"--method"}}, Tool{Kind: KindBusybox}
	box := Toolbox{Tools: []Tool{curl, busybox, gnu}}
	for _, tc := range []struct {
		want, method string
		kind         Kind
	}{{"auto", "GET", KindCurl}, {"wget", "GET", KindBusybox}, {"wget", "HEAD", KindGNU}, {"curl", "HEAD", KindCurl}} {
		if got, err := box.Choose(Config{Tool: tc.want, Method: tc.method}); err != nil || got.Kind != tc.kind {
			t.Errorf("%+v: %v %v", tc, got, err)
		}
	}
	if _, err := (Toolbox{Tools: []Tool{busybox}}).Choose(Config{Tool: "auto", Method: "HEAD"}); err == nil {
		t.Error("busybox cannot send HEAD")
	}
	if _, err := (Toolbox{Tools: []Tool{busybox}}).Choose(Config{Tool: "curl", Method: "GET"}); !errors.Is(err, ErrNoTool) {
		t.Errorf("error %v", err)
	}
	if _, err := (Toolbox{}).Choose(Config{Tool: "auto", Method: "GET"}); !errors.Is(err, ErrNoTool) {
		t.Errorf("error %v", err)
	}
}
