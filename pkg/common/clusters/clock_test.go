package clusters

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// TestSkewOfAnswers: each answer narrows the bounds; answers that contradict each other widen them, for good.
func TestSkewOfAnswers(t *testing.T) {
	t.Parallel()
	base := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	type answer struct{ sent, took, date time.Duration }
	const s, ms = time.Second, time.Millisecond
	for name, c := range map[string]struct {
		answers []answer
		want    Skew
		certain time.Duration
	}{
		"one":                        {[]answer{{0, 100 * ms, 0}}, Skew{-100 * ms, s}, 0},
		"a second one narrows it":    {[]answer{{0, 100 * ms, 0}, {900 * ms, 50 * ms, s}}, Skew{50 * ms, s}, 50 * ms},
		"a slow one adds nothing":    {[]answer{{0, 100 * ms, 0}, {10 * s, 30 * s, 20 * s}}, Skew{-100 * ms, s}, 0},
		"ahead":                      {[]answer{{0, 200 * ms, 600 * s}}, Skew{599800 * ms, 601 * s}, 599800 * ms},
		"behind":                     {[]answer{{0, 200 * ms, -600 * s}}, Skew{-600200 * ms, -599 * s}, -599 * s},
		"two API servers":            {[]answer{{0, 0, 0}, {0, 0, 60 * s}}, Skew{0, 61 * s}, 0},
		"two API servers, once more": {[]answer{{0, 0, 0}, {0, 0, 60 * s}, {0, 0, 0}, {0, 0, 60 * s}}, Skew{0, 61 * s}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := &Member{clock: &clock{}}
			if _, known := m.Skew(); known {
				t.Error("known before the first answer")
			}
			for _, a := range c.answers {
				sent := base.Add(a.sent)
				m.clock.note(sent, sent.Add(a.took), base.Add(a.date))
			}
			got, known := m.Skew()
			if !known || got != c.want || got.Certain() != c.certain {
				t.Errorf("%v %v, certain %s", got, known, got.Certain())
			}
			if m.Earliest(base) != base.Add(c.want.Low) || m.Latest(base) != base.Add(c.want.High) {
				t.Errorf("%s to %s", m.Earliest(base), m.Latest(base))
			}
		})
	}
}

// TestMembersKnowTheClock: the requests of both clients of a member tell the clock of its API server. An answer without a date tells nothing, and so does the error of a proxy.
func TestMembersKnowTheClock(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ahead  time.Duration
		code   int
		undate bool
		known  bool
	}{
		"right":         {0, http.StatusOK, false, true},
		"ahead":         {10 * time.Minute, http.StatusOK, false, true},
		"behind":        {-10 * time.Minute, http.StatusNotFound, false, true},
		"no date":       {0, http.StatusOK, true, false},
		"a proxy's 502": {time.Hour, http.StatusBadGateway, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Date"] = []string{time.Now().Add(c.ahead).UTC().Format(http.TimeFormat)}
				if c.undate {
					w.Header()["Date"] = nil
				}
				answer(w, c.code, map[string]any{"kind": "Namespace", "apiVersion": "v1", "metadata": map[string]any{"name": "kube-system"}})
			}))
			defer server.Close()
			k := newKubeconfig("us")
			k.add("us", server.URL, nil, &clientcmdapi.AuthInfo{})
			f := k.flags(t)
			kc, err := f.load()
			if err != nil {
				t.Fatal(err)
			}
			m := f.newMember(kc.candidates[0], true, &Warnings{})
			if m.Err != nil {
				t.Fatal(m.Err)
			}
			_, _ = m.Client.CoreV1().Namespaces().Get(t.Context(), "kube-system", metav1.GetOptions{})
			skew, known := m.Called("other").WithError(nil).Skew()
			if known != c.known || known && (skew.Low > c.ahead || skew.High < c.ahead || skew.High-skew.Low > 30*time.Second) {
				t.Errorf("%v %v", skew, known)
			}
		})
	}
}
