package request

import (
	"bytes"
	"testing"
)

func TestParseData(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		data   []byte
		method string
		ok     bool
	}{
		"POST": {[]byte("a=1\r\n\xff@'\"\\"), "POST", true}, "empty": {nil, "PUT", true}, "full": {make([]byte, 0), "DELETE", true},
		"GET": {[]byte("a"), "GET", false}, "HEAD": {[]byte("a"), "HEAD", false}, "OPTIONS": {[]byte("a"), "OPTIONS", false},
		"large": {bytes.Repeat([]byte("a"), MaxData+1), "POST", false}, "largest": {bytes.Repeat([]byte("a"), MaxData), "PATCH", true},
		"NUL": {[]byte("a\x00b"), "POST", false},
	} {
		if err := ParseData(tc.data, tc.method); (err == nil) != tc.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseResolve(t *testing.T) {
	t.Parallel()
	url, err := ParseTarget("http://web.shop:8080/x")
	if err != nil {
		t.Fatal(err)
	}
	for raw, want := range map[string]string{"web.shop:8080:10.0.0.1": "10.0.0.1", "WEB.shop:8080:[fd00::1]": "fd00::1", "web.shop:8080:fd00::1": "fd00::1"} {
		if got, err := ParseResolve(raw, url); err != nil || got.Address.String() != want || got.Port != 8080 || got.IsZero() {
			t.Errorf("%s: %+v %v", raw, got, err)
		}
	}
	for _, raw := range []string{
		"", "web.shop", "web.shop:8080", "web.shop:8080:", "web.shop:80:10.0.0.1", "web:8080:10.0.0.1", ":8080:10.0.0.1", "web.shop:x:10.0.0.1", "web.shop:0:10.0.0.1",
		"web.shop:8080:eu", "web.shop:8080:fe80::1%eth0", "web.shop:8080:10.0.0.1,10.0.0.2", "web.shop:70000:10.0.0.1",
	} {
		if got, err := ParseResolve(raw, url); err == nil {
			t.Errorf("ParseResolve(%q) = %+v", raw, got)
		}
	}
}

func FuzzParseResolve(f *testing.F) {
	f.Add("web:80:10.0.0.1")
	url, err := ParseTarget("http://web/")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if r, err := ParseResolve(raw, url); err == nil && (r.Port != 80 || !r.Address.IsValid()) {
			t.Errorf("%q: %+v", raw, r)
		}
	})
}
