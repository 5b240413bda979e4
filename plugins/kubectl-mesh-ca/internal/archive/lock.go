package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"filippo.io/age"
)

// minPassphrase is the least number of characters of a passphrase. Whoever has a copy of a file can try passphrases until the CA expires.
const minPassphrase = 12

// maxWork bounds what a passphrase costs to check, as the logarithm of scrypt's work factor: 18 is what is written (one second, 256 MiB), and a file
// that asks for much more would only exhaust the machine.
const maxWork = 20

// Lock is what a file is encrypted with.
type Lock struct {
	recipients []age.Recipient
	// Passphrase: the file opens with a passphrase; otherwise with the identity of a recipient.
	Passphrase bool
}

// WithPassphrase returns the lock that a passphrase opens.
func WithPassphrase(passphrase string) (Lock, error) {
	if n := utf8.RuneCountInString(passphrase); n < minPassphrase {
		return Lock{}, fmt.Errorf("the passphrase has %d characters; it must have at least %d, because anyone with a copy of the file can try passphrases", n, minPassphrase)
	}
	r, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return Lock{}, err
	}
	return Lock{recipients: []age.Recipient{r}, Passphrase: true}, nil
}

// ForRecipients returns the lock that the identity of any of the recipients opens. They are age's public keys, which begin with "age1".
func ForRecipients(names []string) (Lock, error) {
	var out Lock
	for _, name := range names {
		if strings.HasPrefix(strings.ToUpper(name), "AGE-SECRET-KEY-") {
			// It is not repeated: it would end up in logs.
			return Lock{}, errors.New("--recipient got a secret key; it takes the public key, which begins with age1. The secret key is in your shell's history now: make a new one")
		}
		found, err := age.ParseRecipients(strings.NewReader(name))
		if err != nil || strings.ContainsAny(name, "\r\n") {
			return Lock{}, fmt.Errorf("--recipient %q is not a public key of age, such as age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p", name)
		}
		out.recipients = append(out.recipients, found...)
	}
	if _, err := age.Encrypt(io.Discard, out.recipients...); err != nil {
		return Lock{}, fmt.Errorf("--recipient: %w", err)
	}
	return out, nil
}

// Need says what opens a file.
type Need string

// What opens a file.
const (
	NeedPassphrase Need = "passphrase"
	NeedIdentity   Need = "identity"
)

// Needs says what opens a file, without opening it.
func Needs(data []byte) (Need, error) {
	src, err := binary(data)
	if err != nil {
		return "", err
	}
	p := &probe{}
	_, err = age.Decrypt(bytes.NewReader(src), p)
	switch {
	case !p.asked && errors.Is(err, io.ErrUnexpectedEOF), !p.asked && errors.Is(err, io.EOF):
		return "", ErrTruncated
	case !p.asked:
		return "", ErrChanged
	case slices.Contains(p.types, "scrypt"):
		return NeedPassphrase, nil
	}
	return NeedIdentity, nil
}

// probe is an identity that opens nothing and sees for whom a file is.
type probe struct {
	asked bool
	types []string
}

func (p *probe) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	p.asked = true
	for _, s := range stanzas {
		p.types = append(p.types, s.Type)
	}
	return nil, age.ErrIncorrectIdentity
}

// Key opens files.
type Key struct {
	identities []age.Identity
	need       Need
}

// Passphrase returns the key of a file that was encrypted with a passphrase.
func Passphrase(passphrase string) (Key, error) {
	id, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return Key{}, errors.New("the passphrase is empty")
	}
	id.SetMaxWorkFactor(maxWork)
	return Key{identities: []age.Identity{id}, need: NeedPassphrase}, nil
}

// Identities returns the key of an identity file of age, as age-keygen writes one.
func Identities(file []byte) (Key, error) {
	ids, err := age.ParseIdentities(bytes.NewReader(file))
	if err != nil {
		if bytes.HasPrefix(file, []byte(magic)) || bytes.HasPrefix(file, []byte("-----BEGIN AGE ENCRYPTED FILE-----")) {
			return Key{}, errors.New("the identity file is encrypted; decrypt it with age -d and pass the result")
		}
		return Key{}, errors.New("it is not an identity file of age: no line begins with AGE-SECRET-KEY-") // an error could quote it
	}
	return Key{identities: ids, need: NeedIdentity}, nil
}

// explain turns an error of the header into one of this package.
func (k Key) explain(err error) error {
	var noMatch *age.NoIdentityMatchError
	switch {
	case errors.As(err, &noMatch) && k.need == NeedPassphrase:
		return ErrPassphrase
	case errors.As(err, &noMatch):
		return ErrIdentity
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return ErrTruncated
	case strings.Contains(err.Error(), "work factor too large"):
		return fmt.Errorf("%w: checking its passphrase would cost more than any file of mesh-ca does", ErrNotBackup)
	}
	return ErrChanged
}
