package pki

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
)

// Hidden is a part of a certificate file that no reader of PEM sees. crypto/x509, etcd and Cilium skip such a part without an error.
type Hidden struct {
	// Reason says what hides it.
	Reason string
	// Filter is a shell filter that turns the file into PEM; empty where only the owner of the certificate can replace it.
	Filter string
}

const pemBegin = "-----BEGIN "

// HiddenParts finds what looks like PEM and is not read as PEM: text that is base64-encoded twice, is UTF-16, has a byte order mark, line breaks
// written out as \n or as CR alone, indented or joined blocks, and blocks that are damaged. Nothing for a file that holds no PEM at all.
func HiddenParts(data []byte) []Hidden {
	if len(data) > maxPEM {
		return nil
	}
	whole := bytes.Contains(data, []byte(pemBegin))
	var out []Hidden
	add := func(found bool, what, filter string) {
		switch {
		case found && whole:
			out = append(out, Hidden{Reason: "a part of it " + what})
		case found:
			out = append(out, Hidden{Reason: "it " + what, Filter: filter})
		}
	}
	if times, inner := decoded(data); times > 0 && !whole {
		add(true, "is base64-encoded "+map[int]string{1: "twice", 2: "three times", 3: "four times"}[times], strings.Join(slices.Repeat([]string{"base64 -d"}, times), " | "))
		return append(out, HiddenParts(inner)...)
	}
	add(isUTF16(data), "is UTF-16 text", iconv(data))
	add(isEncodedPEM(data), "is base64-encoded twice", "base64 -d")
	if !whole && isDER(data) {
		out = append(out, Hidden{Reason: "it is DER, not PEM", Filter: "openssl x509 -inform DER"})
	}
	return append(out, hiddenBlocks(data)...)
}

// MakeReadable returns the shell filter that undoes all that hides parts of a file; "" where only the owner of the certificate can replace it.
func MakeReadable(parts []Hidden) string {
	var filters []string
	for _, p := range parts {
		if p.Filter == "" {
			return ""
		}
		if !slices.Contains(filters, p.Filter) {
			filters = append(filters, p.Filter)
		}
	}
	return strings.Join(filters, " | ")
}

// decoded undoes base64 as often as it takes to find certificates; times is 0 where that finds none.
func decoded(data []byte) (times int, inner []byte) {
	const most = 3
	for n := 1; n <= most; n++ {
		var err error
		if data, err = base64.StdEncoding.DecodeString(string(bytes.Join(bytes.Fields(data), nil))); err != nil || len(data) == 0 {
			return 0, nil
		}
		if bytes.Contains(data, []byte(pemBegin)) || isUTF16(data) || isDER(data) {
			return n, data
		}
	}
	return 0, nil
}

func isDER(data []byte) bool {
	certs, err := x509.ParseCertificates(data)
	return err == nil && len(certs) > 0
}

// iconv is the filter for UTF-16 text. Without a byte order mark the order must be given.
func iconv(data []byte) string {
	from := "UTF-16"
	if !bytes.HasPrefix(data, []byte("\xff\xfe")) && !bytes.HasPrefix(data, []byte("\xfe\xff")) && len(data) > 0 {
		from = "UTF-16LE"
		if data[0] == 0 {
			from = "UTF-16BE"
		}
	}
	return "iconv -f " + from + " -t UTF-8"
}

// isUTF16 looks for the beginning of a block in either byte order.
func isUTF16(data []byte) bool {
	wide := func(first, second string) []byte {
		var b strings.Builder
		for _, r := range "---BEGIN" {
			b.WriteString(first + string(r) + second)
		}
		return []byte(b.String())
	}
	return bytes.Contains(data, wide("\x00", "")) || bytes.Contains(data, wide("", "\x00"))
}

// isEncodedPEM looks for the base64 form of the beginning of a block, at each of the three positions that it can have in a group of three bytes. Line
// breaks, as base64 wraps its output, do not matter.
func isEncodedPEM(data []byte) bool {
	text := bytes.Join(bytes.Fields(data), nil)
	for _, form := range []string{"LS0tLS1CRUdJTi", "0tLS0tQkVHSU4", "tLS0tLUJFR0lOI"} {
		if bytes.Contains(text, []byte(form)) {
			return true
		}
	}
	return false
}

// hiddenBlocks compares the blocks that begin with those that pem.Decode returns.
func hiddenBlocks(data []byte) []Hidden {
	var read [][]byte
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		read = append(read, block.Bytes)
	}
	var out []Hidden
	for n, at := 1, bytes.Index(data, []byte(pemBegin)); at >= 0; n++ {
		end := len(data)
		if next := bytes.Index(data[at+1:], []byte(pemBegin)); next >= 0 {
			end = at + 1 + next
		}
		block, _ := pem.Decode(data[at:end])
		if block != nil && len(read) > 0 && bytes.Equal(block.Bytes, read[0]) {
			read = read[1:]
		} else {
			out = append(out, whyHidden(data[:at], data[at:end], n))
		}
		if at = end; at == len(data) {
			break
		}
	}
	return out
}

// whyHidden says why block n is not read; before is all that precedes it.
func whyHidden(before, block []byte, n int) Hidden {
	const crOnly, lf = "\r", "\n"
	line := before[bytes.LastIndexByte(before, '\n')+1:]
	first, _, _ := bytes.Cut(block, []byte(lf))
	header, ok := bytes.CutPrefix(first, []byte(pemBegin))
	_, header, dashes := bytes.Cut(header, []byte("-----"))
	switch {
	case bytes.HasSuffix(line, []byte("\xef\xbb\xbf")):
		return Hidden{Reason: fmt.Sprintf("a byte order mark (BOM) precedes block %d", n), Filter: `sed 's/\xEF\xBB\xBF//g'`}
	case bytes.Contains(block, []byte(`\n`)), bytes.HasSuffix(line, []byte(`\n`)): // no block holds a backslash
		return Hidden{Reason: fmt.Sprintf(`the line breaks of block %d are written out as \n`, n), Filter: `sed -e 's/\\\\*r//g' -e 's/\\\\*n/\n/g' -e 's/"//g'`}
	case ok && dashes && bytes.HasPrefix(header, []byte(" ")) && len(bytes.TrimSpace(header)) > 0:
		return Hidden{Reason: fmt.Sprintf("the line breaks of block %d are written as blanks", n)}
	case ok && dashes && bytes.HasPrefix(header, []byte(crOnly)) && len(header) > 1:
		return Hidden{Reason: fmt.Sprintf("the lines of block %d end in CR alone", n), Filter: `tr '\r' '\n'`}
	case bytes.HasSuffix(line, []byte("-----")):
		return Hidden{Reason: fmt.Sprintf("no line break precedes block %d", n), Filter: `sed 's/----------/-----\n-----/g'`}
	case len(line) > 0 && len(bytes.TrimSpace(line)) == 0:
		return Hidden{Reason: fmt.Sprintf("block %d is indented", n), Filter: `sed 's/^[ \t]*//'`}
	case len(line) > 0:
		return Hidden{Reason: fmt.Sprintf("block %d does not begin at the start of a line", n)}
	case bytes.Contains(block, []byte("----------BEGIN")) || endsJoined(block):
		return Hidden{Reason: fmt.Sprintf("no line break follows block %d", n), Filter: `sed 's/----------/-----\n-----/g'`}
	}
	return Hidden{Reason: fmt.Sprintf("block %d is damaged", n)}
}

// endsJoined reports whether text follows the last line of a block on the same line. The next block is not part of what is passed in.
func endsJoined(block []byte) bool {
	_, rest, ok := bytes.Cut(block, []byte("-----END "))
	if !ok {
		return false
	}
	_, rest, ok = bytes.Cut(rest, []byte("-----"))
	return ok && !bytes.ContainsRune(rest, '\n')
}

// hint says what hides the PEM in a file in which nothing can be read; "" where nothing is recognized.
func hint(data []byte) string {
	parts := HiddenParts(data)
	if len(parts) == 0 {
		return ""
	}
	return ": " + parts[0].Reason
}
