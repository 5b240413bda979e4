package request

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// SecretHeaders returns the names of the headers with values that others must not see: all except Host, Accept*, User-Agent and Content-Type.
func SecretHeaders(headers []string) []string {
	var out []string
	for _, h := range headers {
		name, _, _ := strings.Cut(h, ":")
		name = strings.TrimSpace(name)
		switch lower := strings.ToLower(name); {
		case lower == "host", lower == "accept", strings.HasPrefix(lower, "accept-"), lower == "user-agent", lower == "content-type":
		case !slices.Contains(out, name):
			out = append(out, name)
		}
	}
	return out
}

// ParseHeader checks one header as the user typed it and returns it as "Name: value".
func ParseHeader(raw string) (string, error) {
	name, value, ok := strings.Cut(raw, ":")
	name, value = strings.TrimSpace(name), strings.Trim(value, " \t")
	if !ok || name == "" {
		return "", fmt.Errorf("header %q: must be 'Name: value'", raw)
	}
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("()<>@,;:\\\"/[]?={}", c) >= 0 {
			return "", fmt.Errorf("header %q: character %q is not allowed in a header name", raw, c)
		}
	}
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return "", fmt.Errorf("header %q: contains a line break or a control character", raw)
		}
	}
	if http.CanonicalHeaderKey(name) == "Connection" {
		return "", fmt.Errorf("header %q: mesh-probe sets it, because each request opens a new connection", raw)
	}
	return name + ": " + value, nil
}
