package cmd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/request"
)

func TestBodyAndAddress(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	small, large := filepath.Join(dir, "small"), filepath.Join(dir, "large")
	for name, data := range map[string]string{small: "a\nb", large: strings.Repeat("x", request.MaxData+1)} {
		if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		url  string
		set  func(*flags)
		want string // the error, or the data after "ok "
	}{
		"value":           {"http://web", func(f *flags) { f.method, f.data = "post", "a=1" }, "ok a=1"},
		"file":            {"http://web", func(f *flags) { f.method, f.data = "PUT", "@"+small }, "ok a\nb"},
		"no method":       {"http://web", func(f *flags) { f.data = "a" }, "--data: a GET request has no data; use --method POST, PUT, PATCH or DELETE"},
		"HEAD":            {"http://web", func(f *flags) { f.method, f.data = "HEAD", "a" }, "--data: a HEAD request has no data"},
		"no file":         {"http://web", func(f *flags) { f.method, f.data = "POST", "@"+dir+"/none" }, "--data: open " + dir + "/none: no such file"},
		"a directory":     {"http://web", func(f *flags) { f.method, f.data = "POST", "@"+dir }, "--data: read " + dir},
		"large":           {"http://web", func(f *flags) { f.method, f.data = "POST", "@"+large }, "--data @" + large + ": has more than 32 KiB"},
		"method":          {"http://web", func(f *flags) { f.method = "TRACE" }, "--method TRACE: must be one of: GET, HEAD"},
		"rate":            {"http://web", func(f *flags) { f.rate = 0.001 }, "--rate 0.001: must be at least 0.01"},
		"resolve":         {"http://web", func(f *flags) { f.resolve = "web:80:10.0.0.1" }, "ok "},
		"resolve, port":   {"http://web", func(f *flags) { f.resolve = "web:81:10.0.0.1" }, "--resolve \"web:81:10.0.0.1\": host and port must be those of the URL, web:80"},
		"resolve, form":   {"http://web", func(f *flags) { f.resolve = "web" }, "--resolve \"web\": must be HOST:PORT:ADDRESS"},
		"resolve, no URL": {"web", func(f *flags) { f.resolve = "web:80:10.0.0.1" }, "--resolve requires a URL"},
	} {
		f := newFlags()
		f.from = "deploy/client"
		tc.set(f)
		f.dataGiven = f.data != ""
		c, err := f.checked(tc.url)
		got := "ok " + string(c.Send.Data)
		if err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, tc.want) || err == nil && got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}
