package faults

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
)

// apiServer answers every request with one ConfigMap, and counts those that change something.
func apiServer(t *testing.T) (config *rest.Config, writes *int) {
	t.Helper()
	writes = new(int)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if mutates(r) {
			*writes++
		}
		w.Header().Set("Content-Type", "application/json")
		cm := corev1.ConfigMap{TypeMeta: metav1.TypeMeta{Kind: "ConfigMap", APIVersion: "v1"}, ObjectMeta: metav1.ObjectMeta{Name: "x"}}
		if err := json.NewEncoder(w).Encode(cm); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(s.Close)
	return &rest.Config{Host: s.URL}, writes
}

// client uses a layer as a command does. What a fault sets in the environment is done to the client, since Go reads the environment once.
func client(t *testing.T, l *Layer) kubernetes.Interface {
	t.Helper()
	file := clientcmdapi.NewConfig()
	file.Clusters["x"], file.AuthInfos["x"], file.Contexts["x"] = l.Cluster(), &clientcmdapi.AuthInfo{}, &clientcmdapi.Context{Cluster: "x", AuthInfo: "x"}
	file.CurrentContext = "x"
	config, err := clientcmd.NewDefaultClientConfig(*file, nil).ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	if len(l.Env()) > 0 {
		through, err := url.Parse(l.proxy.url)
		if err != nil {
			t.Fatal(err)
		}
		config.Proxy = http.ProxyURL(through)
	}
	config.QPS = -1
	c, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// deadline is far above what an answer takes, and below the time after which a request that is repeated for 429 ends by itself.
const deadline = 4 * time.Second

func read(ctx context.Context, c kubernetes.Interface) error {
	return fanout.Do(ctx, deadline, func(ctx context.Context) error {
		_, err := c.CoreV1().ConfigMaps("n").Get(ctx, "x", metav1.GetOptions{})
		return err
	})
}

func write(ctx context.Context, c kubernetes.Interface, dryRun ...string) error {
	return fanout.Do(ctx, deadline, func(ctx context.Context) error {
		_, err := c.CoreV1().ConfigMaps("n").Patch(ctx, "x", types.MergePatchType, []byte("{}"), metav1.PatchOptions{DryRun: dryRun})
		return err
	})
}

func class(err error) failure.Class {
	if err == nil {
		return ""
	}
	return failure.Classify(err).Class
}

// TestReading: each fault is what it says, and client-go's error for it has the class of the table.
func TestReading(t *testing.T) {
	t.Parallel()
	for _, f := range Reading {
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			config, _ := apiServer(t)
			l, err := Open(config, f)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(l.Close)
			err = read(t.Context(), client(t, l))
			if got := class(err); got != f.Class {
				t.Errorf("class %q, want %q: %v", got, f.Class, err)
			}
			t.Log(err)
			if f.answer != nil && l.Met() == 0 {
				t.Error("no request met the fault")
			}
		})
	}
}

// TestWriting: what is read, and what is only tried, does not meet the fault. Whether something is written is what About says.
func TestWriting(t *testing.T) {
	t.Parallel()
	for _, f := range Writing {
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			config, writes := apiServer(t)
			l, err := Open(config, f)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(l.Close)
			c := client(t, l)
			if err := read(t.Context(), c); err != nil {
				t.Errorf("read: %v", err)
			}
			if err := write(t.Context(), c, metav1.DryRunAll); err != nil {
				t.Errorf("dry run: %v", err)
			}
			if l.Met() != 0 || l.Writes() != 0 {
				t.Errorf("%d requests met the fault, %d writes before the first", l.Met(), l.Writes())
			}
			err = write(t.Context(), c)
			if works := f.Class == "" && !f.Done; (err == nil) != works {
				t.Errorf("write: %v", err)
			}
			t.Log(class(err), err)
			if f.Class != "" && class(err) != f.Class {
				t.Errorf("class %q, want %q: %v", class(err), f.Class, err)
			}
			l.later.Wait()
			if (*writes > 0) != (f.Done || f.Class == "") || l.Writes() == 0 {
				t.Errorf("%d writes arrived, %d were sent", *writes, l.Writes())
			}
			if err := read(t.Context(), c); (err == nil) != (f.Name != "dies") {
				t.Errorf("read after the write: %v", err)
			}
		})
	}
}
