package ca

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
)

// Former is the Secret that keeps a CA which is going to be replaced.
type Former struct {
	// Secret is nil where there is none. Key: it has the private key of the CA. A CA whose key was missing, and which was repaired, is kept without it.
	Secret *corev1.Secret
	Key    bool
	// Free is the name of the next backup of this CA.
	Free string
}

// ReadFormer looks for the backup of the CA with a fingerprint. Several Secrets may keep it, which differ where its key was repaired: one with the key comes
// first. parse reads the CA of a Secret with its key.
func (s *State) ReadFormer(ctx context.Context, fingerprint string, parse func(map[string][]byte) (pki.CertKey, error)) (Former, error) {
	var out Former
	for n := 1; n <= maxBackups; n++ {
		out.Free = BackupName(fingerprint)
		if n > 1 {
			out.Free = fmt.Sprintf("%s-%d", out.Free, n)
		}
		secret, err := s.Member.Client.CoreV1().Secrets(s.Namespace).Get(ctx, out.Free, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return out, nil
		}
		if err != nil {
			return Former{}, fmt.Errorf("look for backup %s/%s: %w", s.Namespace, out.Free, err)
		}
		if kept, err := parse(secret.Data); err == nil && pki.Fingerprint(kept.Cert) == fingerprint {
			return Former{Secret: secret, Key: true}, nil
		}
		kept, err := pki.ParseCA(secret.Data)
		if out.Secret == nil && err == nil && (pki.Fingerprint(kept.Signer()) == fingerprint || pki.Fingerprint(kept.Identity()) == fingerprint) {
			out.Secret = secret
		}
	}
	return Former{}, fmt.Errorf("%d backups %s* exist already in namespace %s, and none has the key of the CA", maxBackups, BackupName(fingerprint), s.Namespace)
}
