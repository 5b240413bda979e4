package clusters

import (
	"net"
	"testing"
	"time"

	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/utils/ptr"
)

// TestDeadHomeWaitsForNobody: the others are asked at the same time as home, and left alone when home does not answer.
func TestDeadHomeWaitsForNobody(t *testing.T) {
	t.Parallel()
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	gone, mute := listen(), listen() // nobody listens any more; connects and never answers
	_ = gone.Close()
	defer mute.Close()
	f := NewFlags()
	f.Config.KubeConfig = ptr.To(writeConfig(t, t.TempDir(), "config", "home", "home=http://"+gone.Addr().String(), "other=http://"+mute.Addr().String()))
	f.Timeout = time.Hour
	sel, err := f.Select(t.Context())
	if err != nil || len(sel.Members) != 1 || sel.Members[0].Err == nil || sel.Members[0].Err.Class != ClassRefused {
		t.Fatalf("%+v, %v", sel, err)
	}
}

// TestNobodyLogsInForNothing: only credentials that need no program are used before it is known that they are needed.
func TestNobodyLogsInForNothing(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		user *clientcmdapi.AuthInfo
		want bool
	}{
		"no user":       {nil, false},
		"a certificate": {&clientcmdapi.AuthInfo{ClientCertificate: "x"}, false},
		"a token":       {&clientcmdapi.AuthInfo{Token: "x"}, false},
		"a program":     {&clientcmdapi.AuthInfo{Exec: &clientcmdapi.ExecConfig{Command: "login"}}, true},
		"a provider":    {&clientcmdapi.AuthInfo{AuthProvider: &clientcmdapi.AuthProviderConfig{Name: "oidc"}}, true},
	}
	for name, c := range cases {
		config := &clientcmdapi.Config{Contexts: map[string]*clientcmdapi.Context{"us": {AuthInfo: "me"}}, AuthInfos: map[string]*clientcmdapi.AuthInfo{}}
		if c.user != nil {
			config.AuthInfos["me"] = c.user
		}
		if got := (candidate{name: "us", context: "us", config: config}).asks(); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
