package clusters

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"k8s.io/client-go/rest"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
)

// renewedBefore is how long before its end kubectl renews an ID token.
const renewedBefore = 10 * time.Second

// useIDToken makes a client configuration with auth-provider oidc send the ID token that is stored in the kubeconfig. client-go's provider would also renew the
// token, which is not safe here: each cluster has a provider of its own, two of them would send one refresh token, and many identity providers accept a refresh
// token only once, or end the session of a user who sends one twice. Nor does the provider heed a deadline. So kubectl renews the token, one cluster at a time.
func useIDToken(cfg *rest.Config, at commandline.Context, now time.Time) error {
	provider := cfg.AuthProvider
	if provider == nil || provider.Name != "oidc" {
		return nil
	}
	cfg.AuthProvider = nil
	if cfg.BearerToken != "" || cfg.BearerTokenFile != "" || cfg.Username != "" { // client-go does not ask the provider then
		return nil
	}
	token := provider.Config["id-token"]
	if end, ok := endOfToken(token); !ok || !now.Add(renewedBefore).Before(end) {
		return fmt.Errorf("the kubeconfig has no valid ID token (auth-provider oidc), and only kubectl renews it. Run: %s. Then run this command again",
			commandline.Tool("kubectl", at, "", "get", "--raw", "/version"))
	}
	cfg.BearerToken = token
	return nil
}

// endOfToken returns when a JSON Web Token expires.
func endOfToken(token string) (time.Time, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		Expiry float64 `json:"exp"` // RFC 7519 allows fractions
	}
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return time.Time{}, false
	}
	return time.Unix(int64(claims.Expiry), 0), true
}
