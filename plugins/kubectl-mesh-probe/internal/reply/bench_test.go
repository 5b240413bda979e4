package reply

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// BenchmarkCut cuts batches of 1,000 requests. The time is that of one batch.
func BenchmarkCut(b *testing.B) {
	const n = 1000
	head := "HTTP/1.1 200 OK\r\nServer: nginx/1.25.3\r\nDate: Sun, 29 Nov 2026 10:57:02 GMT\r\nContent-Type: text/plain\r\nContent-Length: 38\r\nConnection: close\r\n\r\n"
	body := "Hello from web-7d9f8b6c5d in cluster u"
	printed := "  " + strings.ReplaceAll(strings.TrimSuffix(head, "\r\n\r\n"), "\r\n", "\n  ") + "\n"
	gnu := "--2026-11-29 11:04:44--  http://127.0.0.1:18080/\nConnecting to 127.0.0.1:18080... connected.\nHTTP request sent, awaiting response... \n" + printed +
		"Length: 38 [text/plain]\nSaving to: 'STDOUT'\n2026-11-29 11:04:44 (5.13 MB/s) - written to stdout [38/38]\n\n"
	block := func(data, errs string) Block {
		return Block{Data: bytes.Repeat([]byte(data), n), Size: n * len(data), Errs: bytes.Repeat([]byte(errs), n), Requests: n, BodyLimit: 16 << 10}
	}
	for name, cut := range map[string]func() int{
		"curl": func() int {
			done := 0
			for range n {
				r, err := ReadCurl(Record{Text: fmt.Sprintf("200 1 %d 38 0.000123 0.000456 0 ", len(head)), Data: []byte(head + body), Size: len(head) + len(body)}, 16<<10, 0)
				if err == nil && r.Class == "" && len(r.Body) == 38 {
					done++
				}
			}
			return done
		},
		"gnu":     func() int { return len(CutGNU(block(head+body, gnu)).Replies) },
		"busybox": func() int { return len(CutBusybox(block(body, printed+"  \n")).Replies) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if got := cut(); got != n {
					b.Fatalf("%d replies", got)
				}
			}
		})
	}
}
