//go:build unix

package clusters

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
)

// TestField17HangingPlugin: it ends at its deadline with all that it started, and it is named; an interrupt ends it at once.
func TestField17HangingPlugin(t *testing.T) {
	t.Parallel()
	for name, interrupt := range map[string]bool{"deadline": false, "interrupt": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			us := newFakeAPI(t, "us", 1)
			s := newScript(t, `trap '' TERM; sleep 1000 & echo "pid $$" >> "$(dirname "$0")/log"; echo "pid $!" >> "$(dirname "$0")/log"; wait; sleep 1000`)
			k := newKubeconfig("us")
			k.add("us", us.URL, us.ca(), s.exec(clientcmdapi.NeverExecInteractiveMode, "x"))
			f := k.flags(t, "us")
			ctx, cancel := context.WithCancel(hosted(t))
			defer cancel()
			f.Timeout = watchdog
			if interrupt {
				go func() {
					for len(s.lines(t, "pid")) < 2 {
						time.Sleep(10 * time.Millisecond) // between two looks
					}
					cancel()
				}()
			} else {
				f.Timeout = 2 * time.Second
			}
			sel, err := selected(ctx, t, f)
			switch {
			case interrupt && (err == nil || ctx.Err() == nil):
				t.Errorf("error %v", err)
			case !interrupt && (err != nil || sel.Members[0].Err == nil || sel.Members[0].Err.Class != failure.Timeout || !strings.Contains(sel.Members[0].Err.Error(), `credential plugin "plugin" did not finish within 2s (--cluster-timeout)`)):
				t.Errorf("%v: %s", err, everything(sel))
			}
			for _, pid := range s.lines(t, "pid") {
				dies(t, pid)
			}
		})
	}
}

// TestField17AFailingPluginRunsOnce: not again for each request, and not for each context with the same configuration.
func TestField17AFailingPluginRunsOnce(t *testing.T) {
	t.Parallel()
	us := newFakeAPI(t, "us", 1)
	s := newScript(t, "exit 3")
	k := newKubeconfig("c0")
	for n := range 10 {
		k.add(fmt.Sprintf("c%d", n), us.URL, us.ca(), s.exec(clientcmdapi.NeverExecInteractiveMode, "x"))
	}
	f := k.flags(t)
	f.AllContexts = true
	sel, err := selected(hosted(t), t, f)
	if err != nil || len(sel.Failed()) != 10 || !strings.Contains(everything(sel), `credential plugin "plugin" failed with exit code 3`) {
		t.Fatalf("%v: %s", err, everything(sel))
	}
	if runs := s.lines(t, "run"); len(runs) != 1 {
		t.Errorf("%d runs", len(runs))
	}
	if us.requests() > 0 {
		t.Error("a server was asked without credentials")
	}
}

// TestField17RejectedCredentials: client-go runs the plugin again when the API server rejects what it printed, but not for every request.
func TestField17RejectedCredentials(t *testing.T) {
	t.Parallel()
	us := newFakeAPI(t, "us", 1)
	us.tokens = []string{"another"}
	s := newScript(t, "")
	k := newKubeconfig("us")
	k.add("us", us.URL, us.ca(), s.exec(clientcmdapi.NeverExecInteractiveMode, "x"))
	sel, err := selected(hosted(t), t, k.flags(t, "us"))
	if err != nil || len(sel.Failed()) != 1 || sel.Members[0].Err.Class != failure.Unauthorized {
		t.Fatalf("%v: %s", err, everything(sel))
	}
	if runs := s.lines(t, "run"); len(runs) > 2 {
		t.Errorf("%d runs", len(runs))
	}
}

// TestField17Protocol: what a plugin gets and may answer is the same as if client-go ran it.
func TestField17Protocol(t *testing.T) {
	t.Parallel()
	certificate, key := clientCertificate(t)
	cases := map[string]struct {
		change func(*clientcmdapi.ExecConfig)
		body   string
		seen   []string // in the environment and arguments that the plugin logs
		err    string
		runs   int
	}{
		"v1":                      {func(*clientcmdapi.ExecConfig) {}, "", []string{`"apiVersion":"client.authentication.k8s.io/v1"`, `"interactive":false`, "[tok][a b]", "[]"}, "", 1},
		"v1beta1":                 {func(e *clientcmdapi.ExecConfig) { e.APIVersion = "client.authentication.k8s.io/v1beta1" }, v1beta1, []string{`"apiVersion":"client.authentication.k8s.io/v1beta1"`}, "", 1},
		"env":                     {func(e *clientcmdapi.ExecConfig) { e.Env = []clientcmdapi.ExecEnvVar{{Name: "MINE", Value: "x=y z"}} }, "", []string{"mine:x=y z"}, "", 1},
		"cluster info":            {func(e *clientcmdapi.ExecConfig) { e.ProvideClusterInfo = true }, "", []string{`"server":"https://127.0.0.1`, `"certificate-authority-data"`}, "", 1},
		"a certificate":           {func(*clientcmdapi.ExecConfig) {}, printCredential(`"clientCertificateData":"` + certificate + `","clientKeyData":"` + key + `"`), nil, "", 1},
		"a token that is expired": {func(*clientcmdapi.ExecConfig) {}, printCredential(`"token":"tok","expirationTimestamp":"2020-01-01T00:00:00Z"`), nil, "", 5},
		"a token for a while":     {func(*clientcmdapi.ExecConfig) {}, printCredential(`"token":"tok","expirationTimestamp":"2120-01-01T00:00:00Z"`), nil, "", 1},
		"no credential":           {func(*clientcmdapi.ExecConfig) {}, "echo nonsense; exit 0", nil, "decoding stdout", 1},
		"no command": {func(e *clientcmdapi.ExecConfig) {
			e.Command, e.InstallHint = "no-such-plugin-anywhere", "get it at the shop"
		}, "", nil, "get it at the shop", 0},
		"always without terminal": {func(e *clientcmdapi.ExecConfig) { e.InteractiveMode = clientcmdapi.AlwaysExecInteractiveMode }, "", nil, "standard input is not a terminal", 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			us := newFakeAPI(t, "us", 1)
			us.before = func(r *http.Request) {
				if r.Header.Get("Authorization") != "Bearer tok" && len(r.TLS.PeerCertificates) == 0 {
					t.Error("a request without credentials")
				}
			}
			s := newScript(t, `{ echo "seen $KUBERNETES_EXEC_INFO"; echo "seen [$1][$2]"; echo "seen [$KUBECTL_MESH_EXEC_PLUGIN]"; echo "seen mine:$MINE"; } >> "$(dirname "$0")/log"`+"\n"+c.body)
			user := s.exec(clientcmdapi.NeverExecInteractiveMode, "tok", "a b")
			c.change(user.Exec)
			k := newKubeconfig("us")
			k.add("us", us.URL, us.ca(), user)
			sel, err := selected(hosted(t), t, k.flags(t, "us"))
			if err != nil {
				t.Fatal(err)
			}
			if said := everything(sel); (said == "") != (c.err == "") || !strings.Contains(said, c.err) {
				t.Errorf("said %s", said)
			}
			seen := strings.Join(s.lines(t, "seen"), "\n")
			for _, want := range c.seen {
				if !strings.Contains(seen, want) {
					t.Errorf("%q is missing in %s", want, seen)
				}
			}
			if runs := len(s.lines(t, "run")); runs != c.runs && (c.runs != 5 || runs < 2) {
				t.Errorf("%d runs", runs)
			}
		})
	}
}

// TestField17RelativeCommand: a path with a separator is relative to the kubeconfig, as kubectl has it.
func TestField17RelativeCommand(t *testing.T) {
	t.Parallel()
	us := newFakeAPI(t, "us", 1)
	s := newScript(t, "")
	k := newKubeconfig("us")
	user := s.exec(clientcmdapi.NeverExecInteractiveMode, "x")
	user.Exec.Command = "./plugin"
	k.add("us", us.URL, us.ca(), user)
	f := k.flags(t, "us")
	from := *f.Config.KubeConfig
	to := filepath.Join(filepath.Dir(s.path), "kubeconfig")
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, text, 0o600); err != nil {
		t.Fatal(err)
	}
	f.Config.KubeConfig = &to
	sel, err := selected(hosted(t), t, f)
	if err != nil || len(sel.Failed()) > 0 {
		t.Fatalf("%v: %s", err, everything(sel))
	}
}

const v1beta1 = `echo '{"apiVersion":"client.authentication.k8s.io/v1beta1","kind":"ExecCredential","status":{"token":"tok"}}'; exit 0`

func printCredential(status string) string {
	return `cat <<'END'
{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{` + status + `}}
END
exit 0`
}

// clientCertificate returns a certificate and its key as JSON strings hold them.
func clientCertificate(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	text := func(kind string, der []byte) string {
		return strings.ReplaceAll(string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})), "\n", `\n`)
	}
	return text("CERTIFICATE", der), text("PRIVATE KEY", pkcs8)
}
