// Package request contains the request that a probe sends, checked: URL, header, CA certificates.
package request

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// Target is the URL that is called, checked. The URL tcp://HOST:PORT stands for a connection to which nothing is sent.
type Target struct {
	url url.URL
}

// ParseTarget checks a URL as the user typed it. It refuses characters that a URL must not contain. It does not encode them, so that the
// user knows what is sent.
func ParseTarget(raw string) (Target, error) {
	quoted := func(format string, args ...any) (Target, error) {
		return Target{}, fmt.Errorf("url %q: %s", raw, fmt.Sprintf(format, args...))
	}
	for i := range len(raw) {
		switch c := raw[i]; {
		case c == '\r' || c == '\n' || c == 0:
			return quoted("contains a line break or a NUL byte")
		case c < ' ' || c == 0x7f:
			return quoted("contains a control character")
		}
	}
	if strings.Contains(raw, "$(") {
		return quoted("%q looks like a shell substitution that was not expanded; to send it to the server, write %%24%%28", "$(")
	}
	u, err := url.Parse(raw)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err
		}
		return quoted("cannot be parsed: %v", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "tcp" {
		return quoted("the scheme must be http, https or tcp")
	}
	if u.Hostname() == "" {
		return quoted("has no host")
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 {
			return quoted("port %s is not between 1 and 65535", p)
		}
	}
	if u.User != nil {
		raw = u.Redacted()
		if u.Scheme == "tcp" { // a connection has no header
			return quoted("contains credentials; must be tcp://HOST:PORT")
		}
		return quoted("contains credentials, which would be written to logs; use --header 'Authorization: ...'")
	}
	// The fragment is not sent to a server; everything before it is.
	rest := raw
	if i := strings.IndexByte(rest, '#'); i >= 0 {
		rest = rest[:i]
	}
	rest = strings.Replace(rest, u.Host, "", 1) // an IPv6 host has its own brackets
	for i := range len(rest) {
		if c := rest[i]; c >= 0x80 || strings.IndexByte(" \"<>[]\\^`{|}", c) >= 0 {
			return quoted("character %q is not allowed in a URL; write it as %%%02X", c, c)
		}
	}
	for _, c := range u.Hostname() {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:%", c) {
			return quoted("character %q is not allowed in a host name", c)
		}
	}
	if u.Scheme == "tcp" {
		if u.Port() == "" || raw[len("tcp://"):] != u.Host {
			return quoted("must be tcp://HOST:PORT")
		}
		return Target{url: *u}, nil
	}
	u.Fragment, u.RawFragment = "", ""
	if u.Path == "" {
		u.Path = "/"
	}
	return Target{url: *u}, nil
}

// Unchecked returns a Target without the checks of ParseTarget. Tests use it to show that a URL is only data to the pod, whatever it contains.
func Unchecked(u url.URL) Target { return Target{url: u} }

// String returns the URL as it is requested.
func (t Target) String() string { return t.url.String() }

// Host returns the host name or address.
func (t Target) Host() string { return t.url.Hostname() }

// Path returns the path and the query, as they are sent.
func (t Target) Path() string { return t.url.RequestURI() }

// Port returns the port. It defaults to the port of the scheme.
func (t Target) Port() int32 {
	if n, err := strconv.ParseInt(t.url.Port(), 10, 32); err == nil {
		return int32(n)
	}
	if t.url.Scheme == "https" {
		return 443
	}
	return 80
}

// Same reports whether two URLs are the same request, with or without the port of the scheme.
func (t Target) Same(o Target) bool {
	return t.Scheme() == o.Scheme() && t.Host() == o.Host() && t.Port() == o.Port() && t.url.EscapedPath() == o.url.EscapedPath() && t.url.RawQuery == o.url.RawQuery
}

// TCP reports whether only a connection is opened.
func (t Target) TCP() bool { return t.url.Scheme == "tcp" }

// Scheme returns http, https or tcp.
func (t Target) Scheme() string { return t.url.Scheme }

// TLS reports whether the URL is https.
func (t Target) TLS() bool { return t.url.Scheme == "https" }
