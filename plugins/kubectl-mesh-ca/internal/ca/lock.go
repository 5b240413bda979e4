package ca

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
)

// Two runs that copy a CA in opposite directions would swap the CAs if each only read its source before it writes: both may read before either writes.
// So a run first marks cilium-ca in each cluster that it is going to write, and reads its source after that. Of two such runs at least one then sees
// the mark of the other on its own source. The one with the greater ID gives way; the other waits until the mark is gone and reads the source again.
const (
	annotationRun = "mesh.kubectl.io/ca-change"
	// lockManager owns the mark, so that it does not move the time at which mesh-ca wrote the CA.
	lockManager = pki.FieldManager + "-lock"
	// markHolds is how long a mark counts. A run that was killed leaves one behind.
	markHolds = 10 * time.Minute
	// waitForOther is how long a run waits for another one, and pollOther how often it looks.
	waitForOther = 30 * time.Second
	pollOther    = 200 * time.Millisecond
)

// mark is what a run writes on a CA that it is going to replace. Since is a time of the cluster's clock: another machine judges it.
type mark struct {
	ID     string    `json:"id"`
	Action string    `json:"action"`
	Since  time.Time `json:"since"`
}

// ErrSourceChanged says that the CA is not the one any more that the plan was made to copy.
var ErrSourceChanged = errors.New("another command changed the CA that is to be copied since the plan was made")

// ErrBusy says that another run is changing the CA that is to be copied.
var ErrBusy = errors.New("another run of mesh-ca is replacing the CA that is to be copied")

func newID() string {
	const size = 8
	b := make([]byte, size)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// parseMark returns the mark on a CA.
func parseMark(secret *corev1.Secret) (m mark, ok bool) {
	err := json.Unmarshal([]byte(secret.Annotations[annotationRun]), &m)
	return m, err == nil && m.ID != ""
}

// markText is the mark of a run as it is written.
func markText(p *Plan, now time.Time) (string, error) {
	text, err := json.Marshal(mark{ID: p.ID, Action: p.Action, Since: now.UTC()})
	return string(text), err
}

// markOf returns the mark on a CA, if another run has put it there and may still be at work.
func (p *Plan) markOf(secret *corev1.Secret) (mark, bool) {
	m, ok := parseMark(secret)
	if !ok {
		return mark{}, false
	}
	age := p.From.Member.Earliest(time.Now()).Sub(m.Since)
	return m, m.ID != p.ID && age < markHolds && age > -markHolds
}

// checkSource reads the source again: it must still hold what is copied, and nobody may be about to replace it.
func (p *Plan) checkSource(ctx context.Context) error {
	if p.From == nil {
		return nil
	}
	wait := cmp.Or(p.options.Wait, waitForOther)
	for begun := time.Now(); ; {
		have, err := p.readSource(ctx)
		if err != nil {
			return err
		}
		other, busy := p.markOf(have)
		where := fmt.Sprintf("%s: secret %s/%s", p.From.Member.Label(), p.From.Namespace, pki.SecretCA)
		switch {
		case !p.source.in(have):
			return fmt.Errorf("%w: %s; run the command again", ErrSourceChanged, where)
		case !busy:
			return nil
		case other.ID < p.ID:
			return fmt.Errorf("%w: %s, %s since %s; see what it did, then run the command again", ErrBusy, where, other.Action, other.Since.Format(time.RFC3339))
		case time.Since(begun) > wait:
			return fmt.Errorf("%w: %s, %s since %s, and does not end; if it was killed, run: %s", ErrBusy, where, other.Action, other.Since.Format(time.RFC3339),
				p.From.kubectl("annotate", "secret", pki.SecretCA, annotationRun+"-"))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pollOther):
		}
	}
}

func (p *Plan) readSource(ctx context.Context) (*corev1.Secret, error) {
	have, err := fanout.Within(ctx, p.options.Timeout, func(ctx context.Context) (*corev1.Secret, error) {
		return p.From.Member.Client.CoreV1().Secrets(p.From.Namespace).Get(ctx, pki.SecretCA, metav1.GetOptions{})
	})
	switch {
	case apierrors.IsNotFound(err):
		return nil, fmt.Errorf("%w: %s: secret %s/%s was deleted", ErrSourceChanged, p.From.Member.Label(), p.From.Namespace, pki.SecretCA)
	case err != nil:
		return nil, fmt.Errorf("read the CA of %s again: %w", p.From.Member.Label(), err)
	}
	return have, nil
}

// in reports whether a Secret still holds what is copied.
func (m material) in(secret *corev1.Secret) bool {
	return bytes.Equal(secret.Data[m.ca.Layout.Cert], m.stored[0]) && bytes.Equal(secret.Data[m.ca.Layout.Key], m.stored[1])
}
