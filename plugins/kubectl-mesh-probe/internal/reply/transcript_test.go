package reply

import (
	"strings"
	"testing"
)

// Output of busybox for HTTPS servers, with separate streams and with the streams merged by a wrapper.
func TestField02Transcripts(t *testing.T) {
	t.Parallel()
	const (
		note  = "wget: note: TLS certificate validation not implemented\n"
		head  = "  HTTP/1.1 200 OK\n  Server: nginx\n  Content-Type: application/json\n  Content-Length: 17\n  Connection: close\n  \n"
		body  = `{"cluster": "us"}`
		e503  = "  HTTP/1.1 503 Service Unavailable\nwget: server returned error: HTTP/1.1 503 Service Unavailable\n"
		alert = "wget: TLS error from peer (alert code 40): handshake failure\nwget: error getting response: Connection reset by peer\n"
		other = "ERROR: ld.so: object '/x.so' from LD_PRELOAD cannot be preloaded: ignored.\n"
	)
	tests := map[string]struct {
		out, errs string
		n, rc     int
		classes   string
		unsent    int
	}{
		"ok":                   {body, note + head, 1, 0, "", 0},
		"ok, one stream":       {note + head + body, "", 1, 0, "", 0},
		"two":                  {body + body, note + head + head, 2, 0, ",", 0},
		"two, one stream":      {note + head + body + head + body, "", 2, 0, ",", 0},
		"503":                  {"", note + e503, 1, 1, "http-5xx", 0},
		"503, one stream":      {note + e503, "", 1, 1, "http-5xx", 0},
		"503 second":           {body, note + head + e503, 4, 1, ",http-5xx", 2},
		"alert":                {"", note + alert, 1, 1, "tls", 0},
		"alert, one stream":    {note + alert, "", 1, 1, "tls", 0},
		"alert second":         {body, note + head + alert, 3, 1, ",tls", 1},
		"crash":                {body, note + head, 1, 139, "tool", 0},
		"crash, one stream":    {note + head + body + "Segmentation fault\n", "", 1, 139, "tool", 0},
		"crash after two":      {body + body, note + head + head + "Segmentation fault\n", 3, 139, ",tool", 1},
		"linker":               {body + body, other + note + head + head, 2, 0, ",", 0},
		"linker, one stream":   {other + note + head + body, "", 1, 0, "", 0},
		"TLS helper":           {"", "ssl_client: vault: handshake failed: certificate verify failed\nwget: error getting response: Connection reset by peer\n", 1, 1, "tls", 0},
		"307 that is followed": {body, note + "  HTTP/1.1 307 Temporary Redirect\n  Location: /\n" + head, 1, 0, "", 0},
		"no such option":       {"", "wget: unrecognized option '--foo'\nBusyBox v1.36.1\n\nUsage: wget [-c]\n", 1, 1, "unknown", 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := Block{Data: []byte(tc.out), Size: len(tc.out), Errs: []byte(tc.errs), Requests: tc.n, Code: tc.rc, BodyLimit: 100}
			c := CutBusybox(b)
			var classes []string
			for _, r := range c.Replies {
				classes = append(classes, string(r.Class))
				if v, _ := r.Get("Content-Type"); r.Class == "" && (string(r.Body) != body || v != "application/json") {
					t.Errorf("reply %+v", r)
				}
			}
			if got := strings.Join(classes, ","); got != tc.classes || c.Unsent != tc.unsent || c.Unclear {
				t.Errorf("classes %q unsent %d unclear %v, want %q %d", got, c.Unsent, c.Unclear, tc.classes, tc.unsent)
			}
		})
	}
}
