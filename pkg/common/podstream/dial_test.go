package podstream_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/permissions"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/podstream"
)

// kubelet is an API server that forwards to nothing: it returns what it gets, or reports a failure.
type kubelet struct {
	failure string
	status  int // instead of a stream
	hang    bool
}

func (k kubelet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case k.hang:
		<-r.Context().Done()
		return
	case k.status != 0:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(k.status)
		_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,"message":"pods \"etcd\" is forbidden: User \"eve\" cannot create resource \"pods/portforward\" in API group \"\" in the namespace \"kube-system\""}`)
		return
	case !strings.Contains(strings.ToLower(r.Header.Get("Upgrade")), "spdy"):
		http.Error(w, "no WebSocket here", http.StatusBadRequest)
		return
	}
	if _, err := httpstream.Handshake(r, w, []string{"portforward.k8s.io"}); err != nil {
		return
	}
	streams := make(chan httpstream.Stream, 2)
	conn := spdy.NewResponseUpgrader().UpgradeResponse(w, r, func(s httpstream.Stream, _ <-chan struct{}) error {
		streams <- s
		return nil
	})
	if conn == nil {
		return
	}
	defer func() { _ = conn.Close() }()
	failure, data := <-streams, <-streams
	if failure.Headers().Get(corev1.StreamType) != corev1.StreamTypeError || data.Headers().Get(corev1.PortHeader) != "2379" {
		return
	}
	if k.failure != "" {
		_, _ = io.WriteString(failure, k.failure)
		_ = failure.Close()
		_ = data.Close()
	} else {
		_ = failure.Close()
		go func() { _, _ = io.Copy(data, data) }()
	}
	<-conn.CloseChan()
}

func cluster(t *testing.T, k kubelet) *podstream.Cluster {
	t.Helper()
	server := httptest.NewServer(k)
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	config := &rest.Config{Host: server.URL}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return podstream.New(config, client)
}

func TestDial(t *testing.T) {
	t.Parallel()
	conn, err := cluster(t, kubelet{}).Dial(t.Context(), "kube-system", "etcd", 2379)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "hello"); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != "hello" {
		t.Errorf("%q %v", got, err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
}

func TestDialFails(t *testing.T) {
	t.Parallel()
	t.Run("no permission", func(t *testing.T) {
		t.Parallel()
		_, err := cluster(t, kubelet{status: http.StatusForbidden}).Dial(t.Context(), "kube-system", "etcd", 2379)
		var missing *permissions.MissingError
		if !errors.As(err, &missing) || !strings.Contains(err.Error(), "pods/portforward") {
			t.Errorf("%v", err)
		}
	})
	t.Run("nobody listens", func(t *testing.T) {
		t.Parallel()
		conn, err := cluster(t, kubelet{failure: "connect: connection refused"}).Dial(t.Context(), "kube-system", "etcd", 2379)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("%v", err)
		}
		_ = conn.Close()
	})
	t.Run("no answer", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := cluster(t, kubelet{hang: true}).Dial(ctx, "kube-system", "etcd", 2379); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
	t.Run("the context ends a connection", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		conn, err := cluster(t, kubelet{}).Dial(ctx, "kube-system", "etcd", 2379)
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Error("the connection lives on")
		}
	})
}
