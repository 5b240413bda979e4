package live

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
)

// Served implements Observer.
func (c *Cluster) Served(ctx context.Context, m *clusters.Member) ([]Served, error) {
	pods, err := c.pods(ctx, m, selectMeshAPI, containerEtcd)
	if err != nil {
		return nil, err
	}
	return each(ctx, pods, func(p *corev1.Pod) ([]Served, error) {
		s := Served{Pod: p.Name, UID: string(p.UID), Created: p.CreationTimestamp.UTC(), Started: started(p, containerEtcd)}
		if s.Started.IsZero() {
			s.Unknown = notRunning
			return []Served{s}, nil
		}
		shown, err := fanout.Within(ctx, c.timeout, func(ctx context.Context) (shown, error) {
			conn, err := c.streams.dial(ctx, m, p.Namespace, p.Name, portEtcd)
			if err != nil {
				return shown{}, err
			}
			defer func() { _ = conn.Close() }()
			return handshake(ctx, conn)
		})
		if denied := missing(err); denied != nil {
			return nil, denied
		}
		if err != nil {
			s.Unknown = err.Error()
		}
		s.Chain, s.Announced = shown.chain, shown.announced
		return []Served{s}, nil
	})
}

// shown is what a server shows in a handshake.
type shown struct {
	chain     []*x509.Certificate
	announced [][]byte
}

// handshake shows what a TLS server serves to a client without a certificate. It trusts nobody: it only looks. It ends the handshake by presenting no certificate, so that
// etcd logs "client didn't provide a certificate". To refuse the server's certificate instead would make etcd log "bad certificate", which is the sign of a client
// that does not trust it.
func handshake(ctx context.Context, conn net.Conn) (shown, error) {
	var out shown
	client := tls.Client(conn, &tls.Config{
		MinVersion:         tls.VersionTLS12,
		NextProtos:         []string{"h2"},
		InsecureSkipVerify: true, //nolint:gosec // it looks at what is served; nothing is sent
		VerifyConnection: func(s tls.ConnectionState) error {
			out.chain = s.PeerCertificates
			return nil
		},
		GetClientCertificate: func(request *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			out.announced = request.AcceptableCAs
			return &tls.Certificate{}, nil
		},
	})
	err := client.HandshakeContext(ctx)
	if err == nil {
		// The server's alert shows that it has read our answer. Without it, its log would have a connection that was cut.
		_, _ = client.Read(make([]byte, 1))
	}
	if len(out.chain) > 0 {
		return out, nil // TLS 1.2 servers end the handshake with an error
	}
	if err == nil {
		err = errors.New("it serves no certificate")
	}
	return shown{}, fmt.Errorf("TLS handshake: %w", err)
}

// Rejected implements Observer.
func (c *Cluster) Rejected(ctx context.Context, m *clusters.Member, since time.Time) ([]Rejection, error) {
	pods, err := c.pods(ctx, m, selectMeshAPI, containerEtcd)
	if err != nil {
		return nil, err
	}
	return each(ctx, pods, func(p *corev1.Pod) ([]Rejection, error) {
		if started(p, containerEtcd).IsZero() {
			return nil, nil
		}
		var out []Rejection
		options := corev1.PodLogOptions{Container: containerEtcd, SinceTime: after(since)}
		if since.IsZero() {
			options.SinceTime, options.TailLines = nil, ptr.To[int64](maxLogLines)
		}
		err := c.lines(ctx, m, p, options, func(line string) bool {
			// The API server cuts by whole seconds.
			if r, ok := pki.ParseRejection(line); ok && !r.At.Before(since) {
				out = append(out, Rejection{Pod: p.Name, Rejection: r})
			}
			return true
		})
		return out, err
	})
}
