package clusters

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// TestWebPage: the page of a captive portal says what it is, and its date is not the time of an API server. An error page keeps its status, and API answers are left alone.
func TestWebPage(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		code       int
		kind, body string
		page, ok   bool
	}{
		"a captive portal":                  {200, "text/html; charset=utf-8", "<html>Sign in</html>", true, false},
		"a page in capitals":                {200, "Text/HTML", "<html>Sign in</html>", true, false},
		"an API server":                     {200, "application/json", `{"kind":"ConfigMap","apiVersion":"v1"}`, false, true},
		"the error page of a load balancer": {502, "text/html", "<html>Bad Gateway</html>", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", c.kind)
				w.WriteHeader(c.code)
				_, _ = w.Write([]byte(c.body))
			}))
			t.Cleanup(server.Close)
			k := newKubeconfig("us")
			k.add("us", server.URL, nil, &clientcmdapi.AuthInfo{})
			f := k.flags(t)
			kc, err := f.load()
			if err != nil {
				t.Fatal(err)
			}
			m := f.newMember(kc.candidates[0], true, &Warnings{})
			_, err = m.Client.CoreV1().ConfigMaps("n").Get(t.Context(), "x", metav1.GetOptions{})
			var page *WebPageError
			if (err == nil) != c.ok || errors.As(err, &page) != c.page {
				t.Errorf("%v", err)
			}
			if _, known := m.Skew(); known && c.page {
				t.Error("the clock of the API server is known from a web page")
			}
		})
	}
}
