package cilium

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	quotedJSON = `{"cert-file":"/var/lib/cilium/clustermesh/us.crt","endpoints":["https://us.mesh.cilium.io:2379"]}`
	quotedYAML = "\"cert-file\": \"/a\"\n\"endpoints\":\n- \"https://us.mesh.cilium.io:2379\"\n"
)

// TestField16SkippedPeers: Cilium looks for a text and not for YAML; what it skips has a reason.
func TestField16SkippedPeers(t *testing.T) {
	t.Parallel()
	utf16 := make([]byte, 0, 64)
	for _, c := range []byte("endpoints:\n- https://us:2379\n") {
		utf16 = append(utf16, c, 0)
	}
	for name, c := range map[string]struct {
		entry   string
		value   string
		version string
		peers   string
		reason  string // of the entry that is skipped, "" where none is
	}{
		"plain":                       {"us", "endpoints:\n- https://us:2379\n", "", "us", ""},
		"quoted, JSON":                {"us", quotedJSON, "", "", "the text endpoints: is not in it (the key is quoted)"},
		"quoted, YAML":                {"us", quotedYAML, "", "", "the text endpoints: is not in it (the key is quoted)"},
		"single quotes":               {"us", "'endpoints': [https://us:2379]", "", "", "the text endpoints: is not in it (the key is quoted)"},
		"quoted, with a comment":      {"us", "# endpoints: made by a tool\n" + quotedYAML, "", "us", ""},
		"a comment alone":             {"us", "# endpoints: none yet", "", "us", ""},
		"in the middle of a word":     {"us", "# myendpoints: x\n" + quotedYAML, "", "us", ""},
		"a blank before the colon":    {"us", "endpoints : [https://us:2379]", "", "", "the text endpoints: is not in it (there is a blank before the colon)"},
		"another case":                {"us", "Endpoints:\n- https://us:2379\n", "", "", "the text endpoints: is not in it (the key is Endpoints)"},
		"singular":                    {"us", "endpoint: https://us:2379\n", "", "", "the text endpoints: is not in it (the key is endpoint)"},
		"no endpoints":                {"us", "trusted-ca-file: /a\ncert-file: /b\n", "", "", "the text endpoints: is not in it (it has no endpoints)"},
		"base64 twice":                {"us", base64.StdEncoding.EncodeToString([]byte("endpoints:\n- https://us:2379\n")), "", "", "the text endpoints: is not in it: it is base64-encoded twice"},
		"UTF-16":                      {"us", string(utf16), "", "", "the text endpoints: is not in it: it is UTF-16, and Cilium reads UTF-8"},
		"empty":                       {"us", "", "", "", "it is empty"},
		"empty, a file":               {"us.crt", "", "", "", ""},
		"a certificate":               {"us.crt", "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n", "", "", ""},
		"a note":                      {"note", "made by hand", "", "", ""},
		"own name":                    {"eu", "endpoints:\n- https://eu:2379\n", "", "", ""},
		"a file name":                 {"us.yaml", "endpoints:\n- https://us:2379\n", "1.18.11", "", "its name is not a valid cluster name: it may contain only lower case letters, digits and hyphens, and must not begin or end with a hyphen"},
		"capitals":                    {"US", "endpoints:\n- https://us:2379\n", "", "", "its name is not a valid cluster name: it may contain only lower case letters, digits and hyphens, and must not begin or end with a hyphen"},
		"capitals, before 1.17":       {"US", "endpoints:\n- https://us:2379\n", "1.16.19", "US", ""},
		"too long":                    {strings.Repeat("u", 33), "endpoints:\n- x", "1.20.2", "", "its name is not a valid cluster name: it is longer than 32 characters"},
		"the name of those without":   {"default", "endpoints:\n- x", "1.20.2", "default", ""},
		"a key of the configuration":  {"us", `{"key-file":"/k","trusted-ca-file":"/c"}`, "", "", "the text endpoints: is not in it (it has no endpoints)"},
		"a setting of something else": {"values", "image: x\nreplicas: 3\n", "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := ParseVersion(c.version)
			data := map[string][]byte{c.entry: []byte(c.value)}
			peers, skipped := PeersFromSecret(data, "eu", v)
			var reason string
			if len(skipped) > 0 {
				reason = skipped[0].Reason
			}
			if d := cmp.Diff([]string{c.peers, c.reason}, []string{strings.Join(peers, ","), reason}); d != "" {
				t.Error(d)
			}
			// As when the version becomes known later.
			p, s := PeersFromSecret(data, "eu", Version{})
			if p, s = ApplyVersion(p, s, v); strings.Join(p, ",") != c.peers || len(s) != len(skipped) {
				t.Errorf("with the version later: %v, %v", p, s)
			}
		})
	}
	if got := (SkippedPeer{Entry: "us.yaml"}).Peer(); got != "us" {
		t.Error(got)
	}
}
