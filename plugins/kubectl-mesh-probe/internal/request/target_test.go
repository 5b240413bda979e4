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
		"ftp://nginx/":                  "scheme",
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
