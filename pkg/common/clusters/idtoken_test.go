package clusters

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
)

// TestAuthProviderOIDC: a stored ID token is used while it is valid. It is never renewed: a refresh token that the identity provider accepts once would be
// used up, and the next command of kubectl would fail.
func TestAuthProviderOIDC(t *testing.T) {
	t.Parallel()
	jwt := func(exp string) string {
		return "e30." + base64.RawURLEncoding.EncodeToString([]byte(`{"exp":`+exp+`}`)) + ".c2ln"
	}
	at := func(in time.Duration) string { return fmt.Sprint(time.Now().Add(in).Unix()) }
	valid := jwt(at(time.Hour))
	for name, tc := range map[string]struct {
		idToken, token string
		want           string // the token that is sent; empty: none, and an error
	}{
		"valid":                    {idToken: valid, want: valid},
		"with a fraction":          {idToken: jwt("4102444800.5"), want: jwt("4102444800.5")},
		"expired":                  {idToken: jwt(at(-time.Hour))},
		"kubectl would renew it":   {idToken: jwt(at(5 * time.Second))},
		"none":                     {},
		"not a token":              {idToken: "a.b.c"},
		"another token goes first": {idToken: jwt(at(-time.Hour)), token: "static", want: "static"},
	} {
		cfg := clientcmdapi.NewConfig()
		cfg.Contexts["us"] = &clientcmdapi.Context{Cluster: "us", AuthInfo: "me"}
		cfg.Clusters["us"] = &clientcmdapi.Cluster{Server: "https://127.0.0.1:1"}
		cfg.AuthInfos["me"] = &clientcmdapi.AuthInfo{Token: tc.token, AuthProvider: &clientcmdapi.AuthProviderConfig{Name: "oidc", Config: map[string]string{
			"idp-issuer-url": "https://127.0.0.1:2", "client-id": "x", "refresh-token": "r", "id-token": tc.idToken}}}
		m := NewFlags().newMember(candidate{name: "us", context: "us", file: "/f", config: cfg}, true, rest.NoWarnings{})
		if tc.want == "" {
			if m.Err == nil || m.Err.Class != failure.Kubeconfig || !strings.Contains(m.Err.Error(), "kubectl --context us get --raw /version") {
				t.Errorf("%s: %v", name, m.Err)
			}
			continue
		}
		if m.Err != nil || m.REST.AuthProvider != nil || m.REST.BearerToken != tc.want {
			t.Errorf("%s: %v, %+v", name, m.Err, m.REST)
		}
	}
}
