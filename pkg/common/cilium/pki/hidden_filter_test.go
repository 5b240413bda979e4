package pki_test

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"os/exec"
	"strings"
	"testing"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
)

// The filter of a finding makes every certificate of the file readable, however many things hide them.
func TestField10FiltersMakeReadable(t *testing.T) {
	t.Parallel()
	one, two := pkitest.NewCA(t, pkitest.Spec{}).CertPEM, pkitest.NewCA(t, pkitest.Spec{}).CertPEM
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	replace := func(data []byte, from, to string) []byte { return bytes.ReplaceAll(data, []byte(from), []byte(to)) }
	encode := func(data []byte) []byte { return []byte(base64.StdEncoding.EncodeToString(data)) }
	bom := []byte("\xef\xbb\xbf")
	block, _ := pem.Decode(one)
	for name, tc := range map[string]struct {
		data   []byte
		certs  int
		reason string
	}{
		"base64 three times":              {encode(encode(one)), 1, "it is base64-encoded three times"},
		"base64 of UTF-16":                {encode(wide(one, false)), 1, "it is base64-encoded twice; it is UTF-16 text"},
		"base64 of DER":                   {encode(block.Bytes), 1, "it is base64-encoded twice; it is DER, not PEM"},
		"base64 of line breaks":           {encode(replace(one, "\n", `\n`)), 1, `it is base64-encoded twice; the line breaks of block 1 are written out as \n`},
		"base64 of a BOM":                 {encode(join(bom, one)), 1, "it is base64-encoded twice; a byte order mark (BOM) precedes block 1"},
		"UTF-16 without BOM":              {wide(one, false)[2:], 1, "it is UTF-16 text"},
		"UTF-16 without BOM, big-endian":  {wide(one, true)[2:], 1, "it is UTF-16 text"},
		"BOM and written out":             {join(bom, one, replace(two, "\n", `\n`)), 2, `a byte order mark (BOM) precedes block 1; the line breaks of block 2 are written out as \n`},
		"written out, one line each":      {join(replace(one, "\n", `\n`), two), 2, `the line breaks of block 1 are written out as \n; the line breaks of block 2 are written out as \n`},
		"written out after the header":    {join(one[:60], replace(one[60:], "\n", `\n`)), 1, `the line breaks of block 1 are written out as \n`},
		"written out twice":               {replace(one, "\n", `\\n`), 1, `the line breaks of block 1 are written out as \n`},
		"written out with a CR":           {replace(one, "\n", `\r\n`), 1, `the line breaks of block 1 are written out as \n`},
		"a written-out break between two": {join(bytes.TrimSpace(one), []byte(`\n`), two), 2, `the line breaks of block 1 are written out as \n; the line breaks of block 2 are written out as \n`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parts := pki.HiddenParts(tc.data)
			var reasons []string
			for _, p := range parts {
				reasons = append(reasons, p.Reason)
			}
			if got := strings.Join(reasons, "; "); got != tc.reason {
				t.Errorf("reason %q, want %q", got, tc.reason)
			}
			filter := pki.MakeReadable(parts)
			if strings.Contains(filter, "openssl") || strings.Contains(filter, "iconv") {
				for _, tool := range []string{"openssl", "iconv"} {
					if _, err := exec.LookPath(tool); err != nil {
						t.Skip(err)
					}
				}
			}
			cmd := exec.CommandContext(t.Context(), "sh", "-c", filter)
			cmd.Stdin = bytes.NewReader(tc.data)
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%s: %v", filter, err)
			}
			certs, err := pki.ParseCertificates(out)
			if err != nil || len(certs) != tc.certs || len(pki.HiddenParts(out)) > 0 {
				t.Errorf("%s: %d certificates, %v, %v", filter, len(certs), err, pki.HiddenParts(out))
			}
		})
	}
}

// A block on one line is recognized, and no filter is offered that changes nothing.
func TestField10BlanksForLineBreaks(t *testing.T) {
	t.Parallel()
	ca := pkitest.NewCA(t, pkitest.Spec{})
	parts := pki.HiddenParts(bytes.ReplaceAll(ca.CertPEM, []byte("\n"), []byte(" ")))
	if len(parts) != 1 || parts[0].Reason != "the line breaks of block 1 are written as blanks" || parts[0].Filter != "" {
		t.Errorf("%+v", parts)
	}
}
