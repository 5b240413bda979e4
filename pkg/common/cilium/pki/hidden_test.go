package pki_test

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
)

// wide writes text as UTF-16 with a byte order mark.
func wide(text []byte, big bool) []byte {
	var out []byte
	for _, u := range utf16.Encode([]rune("\ufeff" + string(text))) {
		pair := []byte{byte(u), byte(u >> 8)}
		if big {
			pair[0], pair[1] = pair[1], pair[0]
		}
		out = append(out, pair...)
	}
	return out
}

// wrapped is base64 as the command of that name prints it.
func wrapped(data []byte) []byte {
	text := base64.StdEncoding.EncodeToString(data)
	var out []byte
	for len(text) > 76 {
		out, text = append(append(out, text[:76]...), '\n'), text[76:]
	}
	return append(append(out, text...), '\n')
}

func TestField10HiddenCertificates(t *testing.T) {
	t.Parallel()
	ca, other := pkitest.NewCA(t, pkitest.Spec{}), pkitest.NewCA(t, pkitest.Spec{})
	one, two := ca.CertPEM, other.CertPEM
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	replace := func(data []byte, from, to string) []byte { return bytes.ReplaceAll(data, []byte(from), []byte(to)) }
	damaged := bytes.Clone(two)
	damaged[100] = '*'
	block, _ := pem.Decode(one)
	for name, tc := range map[string]struct {
		data  []byte
		certs int
		err   string // part of the error; empty for none
		want  []string
	}{
		"plain":                     {data: join(one, two), certs: 2},
		"CRLF":                      {data: replace(join(one, two), "\n", "\r\n"), certs: 2},
		"text around the blocks":    {data: join([]byte("# us\n"), one, []byte("\n# eu\n"), two), certs: 2},
		"no PEM":                    {data: []byte("hello"), err: "it does not contain a certificate"},
		"base64 twice":              {data: []byte(base64.StdEncoding.EncodeToString(one)), err: "it does not contain a certificate: it is base64-encoded twice", want: []string{"it is base64-encoded twice"}},
		"base64 twice, wrapped":     {data: wrapped(join(one, two)), err: "base64-encoded twice", want: []string{"it is base64-encoded twice"}},
		"base64 twice, after lines": {data: wrapped(join([]byte("# our CA\n"), one)), err: "base64-encoded twice", want: []string{"it is base64-encoded twice"}},
		"second one base64 twice":   {data: join(one, wrapped(two)), certs: 1, want: []string{"a part of it is base64-encoded twice"}},
		"line breaks written out":   {data: replace(one, "\n", `\n`), err: `line breaks of block 1 are written out as \n`, want: []string{`the line breaks of block 1 are written out as \n`}},
		"the same, quoted":          {data: join([]byte(`"`), replace(one, "\n", `\n`), []byte(`"`)), err: "written out", want: []string{`the line breaks of block 1 are written out as \n`}},
		"second one written out":    {data: join(one, replace(two, "\n", `\n`)), certs: 1, want: []string{`the line breaks of block 2 are written out as \n`}},
		"BOM":                       {data: join([]byte("\xef\xbb\xbf"), one), err: "a byte order mark (BOM) precedes block 1", want: []string{"a byte order mark (BOM) precedes block 1"}},
		"BOM before the first":      {data: join([]byte("\xef\xbb\xbf"), one, two), certs: 1, want: []string{"a byte order mark (BOM) precedes block 1"}},
		"BOM between":               {data: join(one, []byte("\xef\xbb\xbf"), two), certs: 1, want: []string{"a byte order mark (BOM) precedes block 2"}},
		"BOM before a comment":      {data: join([]byte("\xef\xbb\xbf# us\n"), one), certs: 1},
		"UTF-16, little-endian":     {data: wide(one, false), err: "it does not contain a certificate: it is UTF-16 text", want: []string{"it is UTF-16 text"}},
		"UTF-16, big-endian":        {data: wide(one, true), err: "UTF-16", want: []string{"it is UTF-16 text"}},
		"second one UTF-16":         {data: join(one, wide(two, false)), certs: 1, want: []string{"a part of it is UTF-16 text"}},
		"second one damaged":        {data: join(one, damaged), certs: 1, want: []string{"block 2 is damaged"}},
		"second one cut":            {data: join(one, two[:len(two)-60]), certs: 1, want: []string{"block 2 is damaged"}},
		"one in the middle damaged": {data: join(one, damaged, one), certs: 2, want: []string{"block 2 is damaged"}},
		"indented":                  {data: replace(join(one, two), "-----BEGIN", "  -----BEGIN"), err: "block 1 is indented", want: []string{"block 1 is indented", "block 2 is indented"}},
		"no line break between":     {data: join(bytes.TrimSpace(one), two), err: "no line break follows block 1", want: []string{"no line break follows block 1", "no line break precedes block 2"}},
		"CR alone":                  {data: replace(one, "\n", "\r"), err: "end in CR alone", want: []string{"the lines of block 1 end in CR alone"}},
		"DER":                       {data: block.Bytes, err: "it is DER, not PEM", want: []string{"it is DER, not PEM"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			certs, err := pki.ParseCertificates(tc.data)
			if len(certs) != tc.certs || (err == nil) != (tc.err == "") || (err != nil && !strings.Contains(err.Error(), tc.err)) {
				t.Errorf("%d certificates, error %v", len(certs), err)
			}
			var got []string
			for _, h := range pki.HiddenParts(tc.data) {
				got = append(got, h.Reason)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("hidden (-want +got)\n%s", diff)
			}
		})
	}
}

// TestField10HiddenKey: the reason names the disguise and never the key.
func TestField10HiddenKey(t *testing.T) {
	t.Parallel()
	ca := pkitest.NewCA(t, pkitest.Spec{})
	for name, key := range map[string][]byte{
		"base64-encoded twice": []byte(base64.StdEncoding.EncodeToString(ca.KeyPEM)),
		"UTF-16":               wide(ca.KeyPEM, false),
		"BOM":                  append([]byte("\xef\xbb\xbf"), ca.KeyPEM...),
		`\n`:                   bytes.ReplaceAll(ca.KeyPEM, []byte("\n"), []byte(`\n`)),
	} {
		state, err := pki.CheckKey(ca.Cert, key)
		if state != pki.KeyBroken || err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %s, %v", name, state, err)
		}
	}
}
