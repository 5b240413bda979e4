package web

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Both clients of the lab's pods get through TLS: busybox, which offers no signature algorithms, and curl.
func TestTLSClients(t *testing.T) {
	t.Parallel()
	certificate, err := selfSigned(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) }))
	srv.Listener = tls.NewListener(srv.Listener, tlsConfig(certificate))
	srv.Start()
	t.Cleanup(srv.Close)
	url := strings.Replace(srv.URL, "http:", "https:", 1)
	for _, command := range [][]string{{"busybox", "wget", "-q", "-O", "-", "-Y", "off", url}, {"curl", "-q", "-s", "--noproxy", "*", "--insecure", url}} {
		if _, err := exec.LookPath(command[0]); err != nil {
			t.Logf("%s is not installed", command[0])
			continue
		}
		cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
		cmd.Env = []string{"PATH=/nonexistent"} // busybox prefers openssl, which no pod of the lab has
		var said strings.Builder
		cmd.Stderr = &said
		out, err := cmd.Output()
		if err != nil || string(out) != "hello" {
			t.Errorf("%s: %q %v %s", command[0], out, err, said.String())
		}
	}
}
