package request

import (
	"strings"
	"testing"
)

func TestParseTarget(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"http://nginx":                       "http://nginx/",
		"http://nginx:8080/a?b=c#frag":       "http://nginx:8080/a?b=c",
		"https://nginx.shop.svc:443":         "https://nginx.shop.svc:443/",
		"http://[fd00::1]:80/x":              "http://[fd00::1]:80/x",
		"http://nginx/?ids%5B%5D=1&q=it's;a": "http://nginx/?ids%5B%5D=1&q=it's;a",
		"http://nginx/price$/(a)":            "http://nginx/price$/(a)",
		"tcp://db:5432":                      "tcp://db:5432",
		"tcp://[fd00::1]:80":                 "tcp://[fd00::1]:80",
	} {
		got, err := ParseTarget(raw)
		if err != nil || got.String() != want {
			t.Errorf("ParseTarget(%q) = %q, %v, want %q", raw, got, err, want)
		}
	}
	for raw, part := range map[string]string{
		"http://nginx/$(id)":            "shell substitution",
		"http://nginx/`id`":             "%60",
		"http://nginx/a[1-3]":           "%5B",
		"http://nginx/{a,b}":            "%7B",
		"http://nginx/a\nHost: x":       "line break",
		"http://nginx/a\rb":             "line break",
		"http://nginx/\x00":             "NUL",
		"http://nginx/a b":              "%20",
		"http://nginx/\x1b[31m":         "control character",
		"http://nginx/ü":                "%C3",
		"http://ngi nx/":                "cannot be parsed",
		"http://[::1":                   "cannot be parsed",
		"http://nginx:http/":            "cannot be parsed",
		"http://nginx:99999/":           "port",
		"http://":                       "has no host",
		"ftp://nginx/":                  "the scheme must be http, https or tcp",
		"tcp://db":                      "must be tcp://HOST:PORT",
		"tcp://db:":                     "must be tcp://HOST:PORT",
		"tcp://:5432":                   "has no host",
		"tcp://db:0":                    "port 0",
		"tcp://db:70000":                "port",
		"tcp://db:5432/":                "must be tcp://HOST:PORT",
		"tcp://db:5432?a":               "must be tcp://HOST:PORT",
		"tcp://db:5432#a":               "must be tcp://HOST:PORT",
		"tcp://user@db:5432":            "credentials; must be tcp://HOST:PORT",
		"tcp://db;reboot:5432":          "not allowed in a host name",
		"tcp://$(id):1":                 "shell substitution",
		"http://user:pw@nginx/":         "credentials",
		"http://nginx;reboot/":          "not allowed in a host name",
		"http://$(id)/":                 "shell substitution",
		"http://nginx/%zz":              "cannot be parsed",
		"http://nginx/?q=<script>":      "%3C",
		"http://nginx/?q=a\\b":          "%5C",
		"http://nginx/?q=\"quoted\"":    "%22",
		"http://-q --config/etc/shadow": "cannot be parsed",
	} {
		_, err := ParseTarget(raw)
		if err == nil || !strings.Contains(err.Error(), part) || strings.Contains(err.Error(), "\n") {
			t.Errorf("ParseTarget(%q): error %v, want %q", raw, err, part)
		}
	}
}

func FuzzParseTarget(f *testing.F) {
	f.Add("http://nginx:8080/a?b=c#frag")
	f.Add("tcp://[fd00::1]:80")
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := ParseTarget(raw)
		if err != nil {
			return
		}
		if got.Host() == "" || got.Port() < 1 || strings.ContainsAny(got.String(), " \r\n\x00") || strings.ContainsAny(got.Host(), "/ $'\"`;&|<>(){}*?~\\") {
			t.Errorf("%q: host %q, port %d", raw, got.Host(), got.Port())
		}
		if got.TCP() != strings.HasPrefix(got.String(), "tcp://") {
			t.Errorf("%q: %s", raw, got)
		}
	})
}

// Two URLs are the same if they cause the same request, however the port is written.
func TestSame(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"http://nginx", "http://nginx:80/", true}, {"https://nginx/a?b", "https://nginx:443/a?b#c", true}, {"http://nginx/a", "http://nginx/b", false},
		{"http://nginx", "https://nginx", false}, {"http://nginx/?a", "http://nginx/?b", false}, {"http://nginx:80", "http://nginx:81", false}, {"tcp://db:1", "tcp://db:1", true},
	} {
		a, errA := ParseTarget(c.a)
		b, errB := ParseTarget(c.b)
		if errA != nil || errB != nil || a.Same(b) != c.want || b.Same(a) != c.want {
			t.Errorf("%s and %s: %v, %v, %v", c.a, c.b, a.Same(b), errA, errB)
		}
	}
}
