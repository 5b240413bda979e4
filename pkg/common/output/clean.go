package output

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/text"
)

// Clean strips control characters: text from a cluster or a response must not control the terminal.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		if text.IsControlCharacter(r) {
			return -1
		}
		return r
	}, s)
}

// cleanLines is Clean, but line breaks and tabs stay: the user's template has them.
func cleanLines(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && text.IsControlCharacter(r) {
			return -1
		}
		return r
	}, s)
}

// escapeJSON escapes the control characters that JSON allows in a string as they are: DEL, U+009B and others. What is read back is the same.
func escapeJSON(raw []byte) []byte {
	out := make([]byte, 0, len(raw))
	for _, r := range string(raw) {
		if r >= 0x7f && text.IsControlCharacter(r) {
			out = fmt.Appendf(out, `\u%04x`, r)
		} else {
			out = utf8.AppendRune(out, r)
		}
	}
	return out
}

// JSONWriter escapes what an encoder of JSON writes, as escapeJSON does. Each write must have whole characters.
func JSONWriter(w io.Writer) io.Writer { return jsonWriter{w} }

type jsonWriter struct{ w io.Writer }

func (j jsonWriter) Write(b []byte) (int, error) {
	if _, err := j.w.Write(escapeJSON(b)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// How many characters are left of a word, of a text and of an error. A word may be a name of Kubernetes (253), a key of an annotation (317) or a path. The ready endpoints
// in each of 255 clusters are not longer than the second.
const (
	maxWord  = 400
	maxText  = 5000
	maxError = 500
)

// Short removes the middle of long words, or of a long text: an annotation can have 256 KB.
// Documents contain the full text.
func Short(s string) string { return cut(shortWords(s), maxText) }

// separators end a word: the blank and the comma between the names of a command, and what is between the files of KUBECONFIG. A command that reads the
// file of each cluster has thousands of characters without a blank.
const separators = " ,:;"

// shortWords leaves as many words as there are: a command that names a thousand Services, or a hundred kubeconfig files, must stay whole.
func shortWords(s string) string {
	if len(s) <= maxWord {
		return s
	}
	var out strings.Builder
	for rest := s; rest != ""; {
		end := strings.IndexAny(rest, separators)
		if end < 0 {
			end = len(rest)
		}
		out.WriteString(cut(rest[:end], maxWord))
		if end < len(rest) {
			out.WriteByte(rest[end])
			end++
		}
		rest = rest[end:]
	}
	return out.String()
}

func cut(s string, most int) string {
	if len(s) <= most || utf8.RuneCountInString(s) <= most {
		return s
	}
	r := []rune(s)
	return string(r[:most/2]) + "…" + string(r[len(r)-most/2:])
}
