package change

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
)

// TestRejectedWithoutAConnection: a write that could not be sent did not happen. One that was sent may have happened, whatever broke afterwards.
func TestRejectedWithoutAConnection(t *testing.T) {
	t.Parallel()
	nobody := httptest.NewServer(nil)
	nobody.Close()
	proxy, err := url.Parse(nobody.URL)
	if err != nil {
		t.Fatal(err)
	}
	post := func(transport *http.Transport, address string) error {
		resp, err := (&http.Client{Transport: transport}).Post(address, "application/json", http.NoBody)
		if err == nil {
			_ = resp.Body.Close()
		}
		return err
	}
	for name, tc := range map[string]struct {
		err  error
		want bool
	}{
		"the API server does not listen":    {post(&http.Transport{}, nobody.URL), true},
		"the proxy does not listen":         {post(&http.Transport{Proxy: http.ProxyURL(proxy)}, "http://127.0.0.1:1"), true},
		"the proxy does not listen, socks5": {post(&http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "socks5", Host: proxy.Host})}, "https://127.0.0.1:1"), true},
		"the proxy closes the connection":   {&net.OpError{Op: "proxyconnect", Err: &net.OpError{Op: "read", Err: errors.New("reset")}}, false},
		"the proxy says something else":     {&net.OpError{Op: "proxyconnect", Err: errors.New("not a proxy")}, false},
		"the API server closes":             {&net.OpError{Op: "read", Err: errors.New("reset")}, false},
		"another error":                     {errors.New("reset"), false},
	} {
		if got := rejected(tc.err); got != tc.want {
			t.Errorf("%s: %v, want %v: %v", name, got, tc.want, tc.err)
		}
	}
}
