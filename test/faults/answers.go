package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// lateness of each answer. A command asks a cluster several times within one deadline.
	lateness = 150 * time.Millisecond
	// drip is the time between two bytes of a slow answer.
	drip = 100 * time.Millisecond
)

func late(l *Layer, w http.ResponseWriter, r *http.Request) {
	select {
	case <-time.After(lateness):
		l.forward.ServeHTTP(w, r)
	case <-r.Context().Done():
	}
}

// statusAnswer answers as an API server does.
func statusAnswer(w http.ResponseWriter, code int32, reason metav1.StatusReason, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(int(code))
	//nolint:errchkjson // The client may be gone.
	_ = json.NewEncoder(w).Encode(metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Code: code, Reason: reason, Message: message,
	})
}

func status404(_ *Layer, w http.ResponseWriter, _ *http.Request) {
	statusAnswer(w, http.StatusNotFound, metav1.StatusReasonNotFound, "the server could not find the requested resource")
}

func status409(_ *Layer, w http.ResponseWriter, _ *http.Request) {
	statusAnswer(w, http.StatusConflict, metav1.StatusReasonConflict, "the object has been modified; please apply your changes to the latest version and try again")
}

func status410(_ *Layer, w http.ResponseWriter, _ *http.Request) {
	statusAnswer(w, http.StatusGone, metav1.StatusReasonExpired, "the provided resource version is too old")
}

func status429(_ *Layer, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Retry-After", strconv.Itoa(1))
	statusAnswer(w, http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests, "too many requests, please try again later")
}

func status500(_ *Layer, w http.ResponseWriter, _ *http.Request) {
	statusAnswer(w, http.StatusInternalServerError, metav1.StatusReasonInternalError, "Internal error occurred: etcdserver: no leader")
}

func status503(_ *Layer, w http.ResponseWriter, _ *http.Request) {
	statusAnswer(w, http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable, "the server is currently unable to handle the request")
}

func status401(_ *Layer, w http.ResponseWriter, _ *http.Request) {
	statusAnswer(w, http.StatusUnauthorized, metav1.StatusReasonUnauthorized, "Unauthorized")
}

// status403 is worded as the RBAC authorizer words it.
func status403(_ *Layer, w http.ResponseWriter, r *http.Request) {
	verb := map[string]string{http.MethodGet: "get", http.MethodPost: "create", http.MethodPatch: "patch", http.MethodPut: "update", http.MethodDelete: "delete"}[r.Method]
	statusAnswer(w, http.StatusForbidden, metav1.StatusReasonForbidden,
		`forbidden: User "eve" cannot `+verb+` resource "`+resource(r.URL.Path)+`" in API group "" in the namespace "kube-system"`)
}

// resource is what a path of the API asks for, roughly.
func resource(path string) string {
	for _, known := range []string{"configmaps", "secrets", "services", "daemonsets", "deployments", "endpointslices", "pods", "nodes", "namespaces"} {
		if strings.Contains(path, "/"+known) {
			return known
		}
	}
	return "things"
}

// html is what a captive portal answers, or a load balancer that does not reach its API server.
func html(_ *Layer, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	// The client may be gone.
	_, _ = w.Write([]byte("<!DOCTYPE html>\n<html><head><title>Sign in to continue</title></head><body><h1>Welcome to the guest network</h1></body></html>\n"))
}

// otherJSON is the answer of a server that is not an API server of Kubernetes, or of another version of it.
func otherJSON(_ *Layer, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"kind": "Greeting", "apiVersion": "example.org/v9", "metadata": [], "items": {"of": "another type"}}`)) // the client may be gone
}

// mute accepts a request and never answers it.
func mute(_ *Layer, _ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // with HTTP/1.1, the end of the client is noticed only when the body is read
	<-r.Context().Done()
}

// page502 is what a load balancer answers whose API server does not.
func page502(_ *Layer, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(http.StatusBadGateway)
	// The client may be gone.
	_, _ = w.Write([]byte("<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"))
}

// late502 is a load balancer that does not wait long enough: the API server does what it was asked for afterwards.
func late502(l *Layer, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	later := r.Clone(context.WithoutCancel(r.Context()))
	later.Body = io.NopCloser(bytes.NewReader(body))
	l.later.Go(func() {
		time.Sleep(lateness) // longer than the command needs to look at the object once
		l.forward.ServeHTTP(httptest.NewRecorder(), later)
	})
	page502(l, w, r)
}

// cut lets the API server do what was asked, and ends the connection in the middle of its answer.
func cut(l *Layer, w http.ResponseWriter, r *http.Request) {
	body := l.half(w, r)
	_, _ = w.Write(body[:len(body)/2])
	flush(w)
	panic(http.ErrAbortHandler)
}

// slow lets the API server do what was asked, and sends its answer a byte at a time, but never the last one.
func slow(l *Layer, w http.ResponseWriter, r *http.Request) {
	body := l.half(w, r)
	tick := time.NewTicker(drip)
	defer tick.Stop()
	for n := range max(len(body)-1, 0) {
		if _, err := w.Write(body[n : n+1]); err != nil {
			return
		}
		flush(w)
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
	<-r.Context().Done()
}

// half does a request, writes the header of its answer, and returns the body, which is not written yet.
func (l *Layer) half(w http.ResponseWriter, r *http.Request) []byte {
	if r.Header.Get("Upgrade") != "" || r.URL.Query().Get("watch") != "" {
		panic(http.ErrAbortHandler) // these answers have no end that could be missing
	}
	answer := httptest.NewRecorder()
	l.forward.ServeHTTP(answer, r)
	maps.Copy(w.Header(), answer.Header())
	w.Header().Set("Content-Length", strconv.Itoa(answer.Body.Len()))
	w.WriteHeader(answer.Code)
	return answer.Body.Bytes()
}

// dies ends this connection and every later one.
func dies(l *Layer, _ http.ResponseWriter, _ *http.Request) {
	l.dead.Store(true)
	panic(http.ErrAbortHandler)
}

// once has a fault with the first request only.
func once(fault func(*Layer, http.ResponseWriter, *http.Request)) func(*Layer, http.ResponseWriter, *http.Request) {
	return func(l *Layer, w http.ResponseWriter, r *http.Request) {
		if l.met.Add(1) == 1 {
			fault(l, w, r)
			return
		}
		l.forward.ServeHTTP(w, r)
	}
}

func flush(w http.ResponseWriter) {
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
}
