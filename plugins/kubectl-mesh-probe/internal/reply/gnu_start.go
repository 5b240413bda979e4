package reply

import (
	"bytes"
	"slices"
)

// gnuStarts finds the lines with which requests begin: the index of each, and the index of the URL.
func gnuStarts(text []byte) [][2]int {
	var out [][2]int
	for at := 0; ; {
		if m := gnuStart.FindIndex(text[at:min(len(text), at+64)]); m != nil {
			out = append(out, [2]int{at, at + m[1]})
		}
		i := bytes.Index(text[at:], []byte("\n--"))
		if i < 0 {
			return out
		}
		at += i + 1
	}
}

// gnuSeparated separates the two streams of one request again if a wrapper around the tool has merged them.
func (b Block) gnuSeparated() Block {
	b.Errs = b.Data
	if all := gnuLast.FindAllIndex(b.Data, -1); len(all) > 0 {
		// The body may not end with a newline.
		last := all[len(all)-1][0]
		b.Errs = slices.Concat(b.Data[:last], []byte("\n"), b.Data[last:])
	}
	if m := gnuSaving.FindIndex(b.Data); m != nil {
		if i := bytes.Index(b.Data[m[1]:], []byte("HTTP/")); i >= 0 {
			b.Data = b.Data[m[1]+i:]
			b.Size -= m[1] + i
		}
	}
	return b
}
