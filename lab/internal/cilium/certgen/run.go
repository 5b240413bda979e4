package certgen

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/controlplane/pki"
)

// Manager is the name under which certgen manages fields: that of its program.
const Manager = "cilium-certgen"

type runner struct {
	Config
	client kubernetes.Interface
	now    time.Time
	log    io.Writer
}

// Run makes the CA if need be, and all leaf certificates of the configuration. Its log says what it does, without key material.
func Run(ctx context.Context, c Config, client kubernetes.Interface, now time.Time, log io.Writer) error {
	r := &runner{Config: c, client: client, now: now, log: log}
	ca, err := r.authority(ctx)
	if err != nil {
		return err
	}
	var validities []time.Duration
	if c.EnforceValidity {
		for _, cert := range c.Certificates {
			validities = append(validities, cert.Validity)
		}
	}
	if err := ca.check(now, validities); err != nil {
		return err
	}
	// All are made before the first one is written: a mistake in the configuration changes nothing.
	secrets := make([]*corev1.Secret, 0, len(c.Certificates))
	for _, cert := range c.Certificates {
		data, err := ca.issue(cert, now)
		if err != nil {
			return fmt.Errorf("certificate %q: %w", cert.Name, err)
		}
		secrets = append(secrets, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: cert.Name, Namespace: cert.Namespace}, Type: corev1.SecretTypeTLS, Data: data,
		})
	}
	for _, secret := range secrets {
		if err := r.store(ctx, secret); err != nil {
			return fmt.Errorf("secret %s/%s: %w", secret.Namespace, secret.Name, err)
		}
	}
	return nil
}

// authority returns the CA that is there, or a new one. Two runs that begin at the same time, as the Jobs of an installation do, use the
// same: the one that comes second reads what the first one has written.
func (r *runner) authority(ctx context.Context) (*authority, error) {
	if r.Reuse {
		ca, err := r.load(ctx)
		if err == nil || !apierrors.IsNotFound(err) || !r.Generate {
			return ca, err
		}
	}
	if !r.Generate {
		return nil, errors.New("there is no CA to sign with: neither --ca-reuse-secret nor --ca-generate is set")
	}
	r.logf("making CA %q, valid for %s", r.CommonName, r.Validity)
	made, err := pki.NewAuthority(AuthoritySpec(r.CommonName, r.Validity, r.now))
	if err != nil {
		return nil, err
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: r.Secret, Namespace: r.Namespace},
		Data:       map[string][]byte{"ca.crt": made.Cert, "ca.key": made.Key},
	}
	if !r.Reuse {
		err = r.store(ctx, secret)
	} else if _, err = r.client.CoreV1().Secrets(r.Namespace).Create(ctx, secret, createOptions()); apierrors.IsAlreadyExists(err) {
		r.logf("secret %s/%s exists by now", r.Namespace, r.Secret)
		return r.load(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("secret %s/%s: %w", r.Namespace, r.Secret, err)
	}
	return loadAuthority(made.Cert, made.Key)
}

func (r *runner) load(ctx context.Context) (*authority, error) {
	secret, err := r.client.CoreV1().Secrets(r.Namespace).Get(ctx, r.Secret, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	for _, key := range []string{"ca.crt", "ca.key"} {
		if len(secret.Data[key]) == 0 {
			return nil, fmt.Errorf("secret %s/%s has no %s", r.Namespace, r.Secret, key)
		}
	}
	ca, err := loadAuthority(secret.Data["ca.crt"], secret.Data["ca.key"])
	if err != nil {
		return nil, fmt.Errorf("secret %s/%s: %w", r.Namespace, r.Secret, err)
	}
	r.logf("signing with the CA in secret %s/%s, %d certificate(s)", r.Namespace, r.Secret, len(ca.chain))
	return ca, nil
}

// store writes a whole Secret: what others have added to it, such as labels, is lost.
func (r *runner) store(ctx context.Context, secret *corev1.Secret) error {
	r.logf("writing secret %s/%s", secret.Namespace, secret.Name)
	secrets := r.client.CoreV1().Secrets(secret.Namespace)
	_, err := secrets.Create(ctx, secret, createOptions())
	if apierrors.IsAlreadyExists(err) {
		_, err = secrets.Update(ctx, secret, metav1.UpdateOptions{FieldManager: Manager})
	}
	return err
}

func createOptions() metav1.CreateOptions { return metav1.CreateOptions{FieldManager: Manager} }

func (r *runner) logf(format string, args ...any) { _, _ = fmt.Fprintf(r.log, format+"\n", args...) }
