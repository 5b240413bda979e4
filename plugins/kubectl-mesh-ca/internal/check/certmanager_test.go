package check_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki/pkitest"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/catest"
)

// custom is a fake client that reaches custom resources.
type custom struct {
	kubernetes.Interface

	api kubernetes.Interface
}

func (c custom) Discovery() discovery.DiscoveryInterfaces { return c.api.Discovery() }

// certificates makes a cluster whose CA and leaf certificates cert-manager keeps. Each Certificate has the given spec and status; without one it may not be read.
func certificates(t *testing.T, certificate string) []*clusters.Member {
	t.Helper()
	one := pkitest.NewCA(t, pkitest.Spec{NotBefore: pkitest.Now.Add(-30 * pkitest.Day), NotAfter: pkitest.Now.Add(60 * pkitest.Day)})
	us, client := catest.Member(t, "us", catest.Install{CA: &one, Method: "cert-manager"})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		const path = "/apis/cert-manager.io/v1/namespaces/kube-system/certificates/"
		name, ok := strings.CutPrefix(r.URL.Path, path)
		w.Header().Set("Content-Type", "application/json")
		if certificate == "" || !ok {
			w.WriteHeader(http.StatusForbidden)
			_, _ = fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403}`)
			return
		}
		_, _ = fmt.Fprintf(w, `{"apiVersion":"cert-manager.io/v1","kind":"Certificate","metadata":{"name":%q},%s}`, name, certificate)
	}))
	t.Cleanup(server.Close)
	api, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	us.Client = custom{client, api}
	return []*clusters.Member{us}
}

// TestCertManager: what cert-manager keeps is due when cert-manager issues it again, by its Certificate. Where that cannot be read, check says that it is not known.
func TestCertManager(t *testing.T) {
	t.Parallel()
	end := pkitest.Now.Add(60 * pkitest.Day) // of the CA, which is valid for 90 days
	for name, c := range map[string]struct {
		certificate string
		due         time.Time
		unknown     string
	}{
		"renewBefore":             {`"spec":{"duration":"2160h","renewBefore":"240h"}`, end.Add(-10 * pkitest.Day), ""},
		"renewBefore is too long": {`"spec":{"duration":"2160h","renewBefore":"9000h"}`, end.Add(-30 * pkitest.Day), ""},
		"percentage":              {`"spec":{"renewBeforePercentage":50}`, end.Add(-45 * pkitest.Day), ""},
		"defaults":                {`"spec":{}`, end.Add(-30 * pkitest.Day), ""},
		"by the status":           {fmt.Sprintf(`"spec":{"renewBefore":"240h"},"status":{"renewalTime":%q}`, end.Add(-20*pkitest.Day).Format(time.RFC3339)), end.Add(-20 * pkitest.Day), ""},
		"of an earlier issuance":  {fmt.Sprintf(`"spec":{"renewBefore":"240h"},"status":{"renewalTime":%q}`, pkitest.Now.Add(-40*pkitest.Day).Format(time.RFC3339)), end.Add(-10 * pkitest.Day), ""},
		"not a duration":          {`"spec":{"renewBefore":"soon"}`, time.Time{}, "spec.renewBefore of certificate cilium-ca cannot be parsed"},
		"no permission":           {"", time.Time{}, "no permission to read certificate cilium-ca"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			members := certificates(t, c.certificate)
			doc := document(t, run(t, members, "-o", "json", "--fail-on", "never"))
			leaves := 0
			for _, cert := range doc.Certificates {
				if cert.Kind == "leaf" {
					leaves++
					if (cert.DueFrom == nil) != c.due.IsZero() || (cert.DueFromMessage == "") != (c.unknown == "") {
						t.Errorf("%s: due %v, %s", cert.Name, cert.DueFrom, cert.DueFromMessage)
					}
				}
				if cert.Name != "cilium-ca" {
					continue
				}
				if got := cert.DueFrom; (got == nil) != c.due.IsZero() || got != nil && !got.Equal(c.due) || cert.DueFromMessage != c.unknown {
					t.Errorf("due from %v, want %s; %q", got, c.due, cert.DueFromMessage)
				}
			}
			if leaves == 0 {
				t.Error("no leaf certificates")
			}
			// As of a day before and after: an expected issuance is a warning about the CA, since the other clusters must trust the new one.
			for _, f := range doc.Findings {
				if f.ID == "CA009" && (c.unknown != "" || !strings.Contains(f.Message, "cert-manager issues it again on "+c.due.Format(time.DateOnly)+" (Certificate cilium-ca)")) {
					t.Errorf("%+v", f)
				}
			}
			table := run(t, members, "--fail-on", "never").Out
			if strings.Contains(table, "Cannot determine when cert-manager issues these certificates again") != (c.unknown != "") || c.unknown != "" && !strings.Contains(table, "no permission") && !strings.Contains(table, "cannot be parsed") {
				t.Error(table)
			}
		})
	}
}

// TestCertManagerKeepsOnlyTheCA: Helm issues the leaf certificates, and the Certificate of the CA may not be read. No date is claimed for cert-manager.
func TestCertManagerKeepsOnlyTheCA(t *testing.T) {
	t.Parallel()
	one := pkitest.NewCA(t, pkitest.Spec{NotBefore: pkitest.Now.Add(-800 * pkitest.Day), NotAfter: pkitest.Now.Add(900 * pkitest.Day)}) // Helm's leaf certificates live for 1095 days
	members := certificates(t, "")
	_, client := catest.Member(t, "us", catest.Install{CA: &one, Method: "helm", CAOwner: "cert-manager"})
	old, ok := members[0].Client.(custom)
	if !ok {
		t.Fatal("not a custom client")
	}
	old.Interface = client
	members[0].Client = old
	doc := document(t, run(t, members, "-o", "json", "--fail-on", "never"))
	due := 0
	for _, f := range doc.Findings {
		if f.ID == "CA009" {
			due++
			if strings.Contains(f.Message, "cert-manager issues it again") {
				t.Error(f.Message)
			}
		}
	}
	if due == 0 {
		t.Errorf("nothing says that the CA ends before its leaf certificates: %+v", doc.Findings)
	}
}

// TestCertManagerInTime: a leaf certificate that cert-manager will issue again causes no warning, until that should have happened.
func TestCertManagerInTime(t *testing.T) {
	t.Parallel()
	one := pkitest.NewCA(t, pkitest.Spec{})
	members := certificates(t, `"spec":{"renewBefore":"240h"}`)
	_, client := catest.Member(t, "us", catest.Install{CA: &one, Method: "cert-manager", CAOwner: "hand"})
	old, ok := members[0].Client.(custom)
	if !ok {
		t.Fatal("not a custom client")
	}
	old.Interface = client
	members[0].Client = old
	for at, want := range map[string]int{"2029-11-07": 0, "2029-11-14": 6} { // they end on 2029-11-22
		doc := document(t, run(t, members, "-o", "json", "--fail-on", "never", "--at", at))
		got := 0
		for _, f := range doc.Findings {
			if f.ID == "CA023" {
				got += max(1, len(f.Objects))
				if !strings.Contains(f.Message, "cert-manager should have issued it again on ") {
					t.Error(f.Message)
				}
			}
		}
		if got != want {
			t.Errorf("%s: %d, want %d: %+v", at, got, want, doc.Findings)
		}
	}
}
