package clusters

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
)

// TestTried: a cluster that always answers with 429, or always ends the connection, is not one that does not answer. The error says which it is.
func TestTried(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   string
		not    string
	}{
		"throttled": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
		}, "no success within 1.5s (--cluster-timeout): the last answer was: 429 Too Many Requests: ", "no answer"},
		"closed": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "the last answer was: EOF: ", "no answer"},
		"silent": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "no answer within 1.5s (--cluster-timeout): ", "last answer"},
		"silent after an answer": {func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "first") {
				answer(w, http.StatusOK, map[string]any{"kind": "ConfigMap", "apiVersion": "v1"})
				return
			}
			<-r.Context().Done()
		}, "no answer within 1.5s (--cluster-timeout): ", "last answer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(c.answer)
			t.Cleanup(server.Close)
			k := newKubeconfig("us")
			k.add("us", server.URL, nil, &clientcmdapi.AuthInfo{})
			f := k.flags(t)
			kc, err := f.load()
			if err != nil {
				t.Fatal(err)
			}
			m := f.newMember(kc.candidates[0], true, &Warnings{})
			err = fanout.Do(t.Context(), 1500*time.Millisecond, func(ctx context.Context) error {
				_, _ = m.Client.CoreV1().ConfigMaps("n").Get(ctx, "first", metav1.GetOptions{})
				_, err := m.Client.CoreV1().ConfigMaps("n").Get(ctx, "second", metav1.GetOptions{})
				return err
			})
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), c.not) || failure.Classify(err).Class != failure.Timeout {
				t.Errorf("%v", err)
			}
		})
	}
}
