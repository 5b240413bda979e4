//go:build unix

package killtest

import (
	"io"
	"testing"

	"k8s.io/client-go/kubernetes"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/keytest"
)

// keyring holds pieces of all private keys that were ever in a Secret of a mesh.
type keyring struct{ all *keytest.Keyring }

func newKeyring() *keyring { return &keyring{keytest.New()} }

func (k *keyring) note(client kubernetes.Interface, namespace string) { k.all.Note(client, namespace) }

func (k *keyring) search(t testing.TB, what, text string) {
	t.Helper()
	k.all.Search(t, what, text)
}

func (k *keyring) searchAll(t testing.TB, what string, r io.Reader) int64 {
	t.Helper()
	return k.all.SearchAll(t, what, r)
}
