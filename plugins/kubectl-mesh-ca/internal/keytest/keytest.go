// Package keytest looks for private keys in what commands print and log. It knows in which forms programs print a key, and knows no command. It is imported by tests only.
package keytest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"hash/maphash"
	"io"
	"math/big"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/modeltest"
)

// needleSize is the length of every piece that is looked for: 15 bytes of a key in base64, 10 in hex.
const needleSize = 20

// Keyring holds pieces of all private keys that were ever in a Secret, as text that would betray them.
type Keyring struct {
	mu      sync.Mutex
	seed    maphash.Seed
	keys    map[string]bool
	needles map[string]string // the piece, and which form it is of
	heads   map[uint64]bool   // hashes of the first bytes of the pieces
	bytes   int64             // that were searched
	texts   int
}

// New returns a keyring that knows what every private key in PEM form has.
func New() *Keyring {
	k := &Keyring{seed: maphash.MakeSeed(), keys: map[string]bool{}, needles: map[string]string{}, heads: map[uint64]bool{}}
	// These are in the PEM text of every key.
	for _, kind := range []string{"", "EC ", "RSA "} {
		begin := "-----BEGIN " + kind + "PRIVATE KEY-----"
		k.add("PEM header", begin[len(begin)-needleSize:])
		k.add("PEM header in base64", base64.StdEncoding.EncodeToString([]byte(begin))[:needleSize+len(kind)])
	}
	return k
}

func (k *Keyring) add(form, text string) {
	if len(text) < needleSize {
		return
	}
	text = text[len(text)-needleSize:]
	k.needles[text] = form
	k.heads[maphash.String(k.seed, text[:8])] = true
}

// Note remembers the keys of a namespace's Secrets.
func (k *Keyring) Note(client kubernetes.Interface, namespace string) {
	list, err := client.CoreV1().Secrets(namespace).List(context.Background(), metav1.ListOptions{})
	if err != nil {
		return
	}
	for _, s := range list.Items {
		for _, value := range s.Data {
			k.Take(value)
		}
	}
}

// Take remembers every key of a PEM text.
func (k *Keyring) Take(text []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return
		}
		private := scalar(block.Bytes)
		if private == nil || k.keys[string(block.Bytes)] {
			continue
		}
		k.keys[string(block.Bytes)] = true
		k.forms(block, private)
	}
}

// scalar is the secret number of a key; nil for what is not a key. The rest of its encoding is public.
func scalar(der []byte) []byte {
	switch key := modeltest.PrivateKey(der).(type) {
	case *ecdsa.PrivateKey:
		return ecScalar(key)
	case *rsa.PrivateKey:
		return key.D.Bytes()
	}
	return nil
}

func ecScalar(key *ecdsa.PrivateKey) []byte {
	out, err := key.Bytes()
	if err != nil {
		return nil
	}
	return out
}

// forms adds the forms in which parts of a key could be printed.
func (k *Keyring) forms(block *pem.Block, private []byte) {
	from := bytes.Index(block.Bytes, private)
	if from < 0 {
		return
	}
	text := pem.EncodeToMemory(block)
	for _, piece := range windows(block.Bytes, from, from+len(private)) {
		k.add("PEM or DER in base64", piece)
		if at := bytes.Index(text, []byte(piece)); at >= 0 { // as in a Secret: base64 of the PEM text
			for _, twice := range windows(text, at, at+len(piece)) {
				k.add("PEM text in base64", twice)
			}
			k.add("PEM text as numbers", strings.Trim(fmt.Sprintf("%d", text[at:at+len(piece)]), "[]")[:needleSize])
			k.add("PEM text in hex", hex.EncodeToString(text[at:at+needleSize/2]))
		}
	}
	const digits = needleSize / 2
	for at := 0; at+digits <= len(private) && at < 3*digits; at += digits {
		piece := private[at : at+digits]
		k.add("scalar in hex", hex.EncodeToString(piece))
		k.add("scalar in hex", strings.ToUpper(hex.EncodeToString(piece)))
		k.add("scalar with colons", strings.ReplaceAll(fmt.Sprintf("% x", piece), " ", ":"))
		k.add("scalar with spaces", fmt.Sprintf("% x", piece))
		k.add("scalar as numbers", strings.Trim(fmt.Sprintf("%d", piece), "[]")[:needleSize])
	}
	k.add("scalar, raw", string(private[:needleSize]))
	k.add("scalar, decimal", fmt.Sprintf("%d", number(private))[:needleSize])
}

// windows are the pieces of the base64 of data that depend on the bytes from..to only.
func windows(data []byte, from, to int) []string {
	const group, size = 3, needleSize / 4 * 3
	var out []string
	text := base64.StdEncoding.EncodeToString(data)
	for at := (from + group - 1) / group * group; at+size <= to && len(out) < 12; at += group {
		out = append(out, text[at/group*4:at/group*4+needleSize])
	}
	return out
}

// Find returns the form of the first piece of a key in a text, and where it is.
func (k *Keyring) Find(text string) (form string, at int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.texts++
	k.bytes += int64(len(text))
	for at := 0; at+needleSize <= len(text); at++ {
		if !k.heads[maphash.String(k.seed, text[at:at+8])] {
			continue
		}
		if form, ok := k.needles[text[at:at+needleSize]]; ok {
			return form, at
		}
	}
	return "", -1
}

// Search fails the test if a text has a piece of a key. The text is not printed.
func (k *Keyring) Search(t testing.TB, what, text string) {
	t.Helper()
	if form, at := k.Find(text); at >= 0 {
		line := strings.Count(text[:at], "\n") + 1
		t.Errorf("%s: line %d of %d contains a private key (%s)", what, line, strings.Count(text, "\n")+1, form)
	}
}

// SearchAll searches what a reader returns, piece by piece.
func (k *Keyring) SearchAll(t testing.TB, what string, r io.Reader) int64 {
	t.Helper()
	const piece = 4 << 20
	var total int64
	buffer, kept := make([]byte, piece), 0
	for {
		n, err := io.ReadFull(r, buffer[kept:])
		total += int64(n)
		k.Search(t, what, string(buffer[:kept+n]))
		if err != nil {
			return total
		}
		kept = copy(buffer, buffer[piece-needleSize:])
	}
}

// String says how much was looked for, and where.
func (k *Keyring) String() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return fmt.Sprintf("%d keys, %d pieces of them looked for in %d texts, %d KB", len(k.keys), len(k.needles), k.texts, k.bytes>>10)
}

// Keys is the number of different keys that are looked for.
func (k *Keyring) Keys() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.keys)
}

func number(data []byte) *big.Int { return new(big.Int).SetBytes(data) }
