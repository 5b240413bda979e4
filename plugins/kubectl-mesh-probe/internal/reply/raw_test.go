package reply

import "testing"

// wget2 prints a decompressed body below the header of the compressed one.
func TestCutRawDecompressed(t *testing.T) {
	t.Parallel()
	for encoding, want := range map[string]Class{
		"": ClassTruncated, "Content-Encoding: identity\r\n": ClassTruncated, "content-encoding: gzip\r\n": "", "Content-Encoding: br\r\n": "",
	} {
		data := "HTTP/1.1 200 OK\r\n" + encoding + "Content-Length: 26\r\n\r\nhello\n"
		c := CutRaw(Block{Data: []byte(data), Size: len(data), Requests: 1, BodyLimit: 100})
		if len(c.Replies) != 1 || c.Replies[0].Class != want || string(c.Replies[0].Body) != "hello\n" {
			t.Errorf("%q: %+v, want class %q", encoding, c, want)
		}
	}
}
