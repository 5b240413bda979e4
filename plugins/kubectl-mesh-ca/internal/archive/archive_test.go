package archive

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"
	"github.com/google/go-cmp/cmp"
)

// content is a file with two CAs. What looks like keys here is what must not show.
func content() File {
	entry := func(cluster string) Entry {
		return Entry{Cluster: cluster, Namespace: "kube-system", Secret: "cilium-ca", Type: "Opaque", Annotations: map[string]string{"meta.helm.sh/release-name": "cilium"},
			Data: map[string][]byte{"ca.crt": []byte("certificate of " + cluster), "ca.key": []byte("KEY MATERIAL of " + cluster + " \x00\xff")}}
	}
	return File{Created: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), Clusters: []Entry{entry("us"), entry("eu")}}
}

// pair is a recipient and its identity.
func pair(t *testing.T) (Lock, Key) {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	lock, err := ForRecipients([]string{id.Recipient().String()})
	if err != nil {
		t.Fatal(err)
	}
	key, err := Identities([]byte("# made for a test\n" + id.String() + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return lock, key
}

// fast is a lock with a passphrase that costs next to nothing to check.
func fast(t *testing.T, passphrase string) Lock {
	t.Helper()
	r, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		t.Fatal(err)
	}
	const work = 10
	r.SetWorkFactor(work)
	return Lock{recipients: []age.Recipient{r}, Passphrase: true}
}

func seal(t *testing.T, f File, lock Lock) []byte {
	t.Helper()
	data, err := Seal(f, lock)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestSealAndOpen(t *testing.T) {
	t.Parallel()
	const passphrase = "correct horse battery"
	lock, key := pair(t)
	word, err := Passphrase(passphrase)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		lock Lock
		key  Key
		need Need
	}{
		"recipient":  {lock, key, NeedIdentity},
		"passphrase": {fast(t, passphrase), word, NeedPassphrase},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := seal(t, content(), c.lock)
			if bytes.Contains(data, []byte("KEY MATERIAL")) || bytes.Contains(data, []byte("kube-system")) {
				t.Error("the file shows its content")
			}
			if need, err := Needs(data); need != c.need || err != nil {
				t.Errorf("it opens with %q, %v", need, err)
			}
			got, err := Open(data, c.key)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(content(), got); d != "" {
				t.Error(d)
			}
			var armored bytes.Buffer
			w := armor.NewWriter(&armored)
			if _, err := w.Write(data); err != nil || w.Close() != nil {
				t.Fatal(err)
			}
			if got, err := Open(armored.Bytes(), c.key); err != nil || len(got.Clusters) != 2 {
				t.Errorf("armored: %v", err)
			}
		})
	}
	if got := content().Names(); !cmp.Equal(got, []string{"us", "eu"}) {
		t.Errorf("names %q", got)
	}
	if e, ok := content().Find("eu"); !ok || e.Cluster != "eu" {
		t.Errorf("eu: %v %q", ok, e.Cluster)
	}
	if _, ok := content().Find("ap"); ok {
		t.Error("ap is not in it")
	}
}

// encrypt is an age file with any content.
func encrypt(t *testing.T, lock Lock, text string) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := age.Encrypt(&out, lock.recipients...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(text)); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestUnusableFiles: each has its own error, and no error quotes the file.
func TestUnusableFiles(t *testing.T) {
	t.Parallel()
	lock, key := pair(t)
	_, other := pair(t)
	wrong, err := Passphrase("not the passphrase")
	if err != nil {
		t.Fatal(err)
	}
	good := seal(t, content(), lock)
	end := func(data []byte, change func([]byte) []byte) []byte { return change(bytes.Clone(data)) }
	body := bytes.Index(good, []byte("\n--- "))
	body += bytes.IndexByte(good[body+1:], '\n') + 2
	edited := func(edit func(*document)) string {
		raw, err := json.Marshal(content())
		if err != nil {
			t.Fatal(err)
		}
		doc := document{APIVersion: "mesh.kubectl.io/v1alpha1", Kind: kind, SHA256: checksum(raw), Content: raw}
		edit(&doc)
		out, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	for name, c := range map[string]struct {
		data []byte
		key  Key
		want error
	}{
		"as it was written":         {good, key, nil},
		"empty":                     {nil, key, ErrTruncated},
		"no age file":               {[]byte("-----BEGIN CERTIFICATE-----\n"), key, ErrNotBackup},
		"another version of age":    {[]byte("age-encryption.org/v2\n-> X25519 abc\n"), key, ErrVersion},
		"too large":                 {make([]byte, maxFile+1), key, ErrTooLarge},
		"another identity":          {good, other, ErrIdentity},
		"wrong passphrase":          {seal(t, content(), fast(t, "correct horse battery")), wrong, ErrPassphrase},
		"last byte changed":         {end(good, func(b []byte) []byte { b[len(b)-1] ^= 1; return b }), key, ErrChanged},
		"first byte of the content": {end(good, func(b []byte) []byte { b[body+16] ^= 1; return b }), key, ErrChanged},
		"byte added":                {append(bytes.Clone(good), 0), key, ErrChanged},
		"byte missing":              {good[:len(good)-1], key, ErrChanged},
		"half of the content":       {good[:(body+len(good))/2], key, ErrChanged},
		"cut off before content":    {good[:body+16], key, ErrTruncated},
		"cut off in the nonce":      {good[:body+3], key, ErrTruncated},
		"cut off in the header":     {good[:40], key, ErrTruncated},
		"header changed":            {bytes.Replace(good, []byte("\n--- "), []byte("\n--- A"), 1), key, ErrChanged},
		"something else in it":      {encrypt(t, lock, "a diary"), key, ErrNotBackup},
		"another document":          {encrypt(t, lock, `{"kind":"Secret","apiVersion":"v1"}`), key, ErrNotBackup},
		"another format":            {encrypt(t, lock, edited(func(d *document) { d.APIVersion = "mesh.kubectl.io/v2" })), key, ErrVersion},
		"edited and encrypted":      {encrypt(t, lock, edited(func(d *document) { d.Content = bytes.Replace(d.Content, []byte("eu"), []byte("ap"), 1) })), key, ErrChanged},
		"no CA":                     {encrypt(t, lock, edited(func(d *document) { d.Content = []byte(`{}`); d.SHA256 = checksum(d.Content) })), key, ErrNotBackup},
		"costly passphrase":         {costly(t), wrong, ErrNotBackup},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Open(c.data, c.key)
			if !errors.Is(err, c.want) {
				t.Fatalf("%v, want %v", err, c.want)
			}
			if err != nil && (strings.Contains(err.Error(), "KEY") || strings.Contains(err.Error(), "\n")) {
				t.Errorf("the error quotes the file: %v", err)
			}
		})
	}
}

// costly is a file whose passphrase asks for more memory than the machine has.
func costly(t *testing.T) []byte {
	t.Helper()
	return bytes.Replace(seal(t, content(), fast(t, "correct horse battery")), []byte(" 10\n"), []byte(" 28\n"), 1)
}

func TestNeedsOfUnusableFiles(t *testing.T) {
	t.Parallel()
	lock, _ := pair(t)
	good := seal(t, content(), lock)
	for name, c := range map[string]struct {
		data []byte
		want error
	}{
		"empty":                 {nil, ErrTruncated},
		"no age file":           {[]byte("{}"), ErrNotBackup},
		"cut off in the header": {good[:40], ErrTruncated},
		"header changed":        {[]byte("age-encryption.org/v1\nnonsense\n--- x\n"), ErrChanged},
	} {
		if _, err := Needs(c.data); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// TestLocks: wrong passphrases and recipients are refused, and a secret key that was passed by mistake is not repeated.
func TestLocks(t *testing.T) {
	t.Parallel()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	hybrid, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		recipients []string
		want       string
	}{
		"one":               {[]string{id.Recipient().String()}, ""},
		"post-quantum":      {[]string{hybrid.Recipient().String()}, ""},
		"mixed":             {[]string{hybrid.Recipient().String(), id.Recipient().String()}, "can't mix post-quantum and classic"},
		"a name":            {[]string{"alice"}, `--recipient "alice" is not a public key of age`},
		"several in one":    {[]string{id.Recipient().String() + "\n" + id.Recipient().String()}, "is not a public key of age"},
		"a secret key":      {[]string{id.String()}, "--recipient got a secret key"},
		"nobody":            {nil, "no recipients"},
		"a mistyped one":    {[]string{strings.Replace(id.Recipient().String(), "age1", "age1q", 1)}, "is not a public key of age"},
		"an ssh key":        {[]string{"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI"}, "is not a public key of age"},
		"lower-case secret": {[]string{strings.ToLower(id.String())}, "--recipient got a secret key"},
	} {
		_, err := ForRecipients(c.recipients)
		switch {
		case c.want == "" && err != nil, c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", name, err, c.want)
		case err != nil && strings.Contains(strings.ToUpper(err.Error()), id.String()):
			t.Errorf("%s: the error shows the secret key", name)
		}
	}
	if _, err := WithPassphrase("short"); err == nil || !strings.Contains(err.Error(), "at least 12") || strings.Contains(err.Error(), `"short"`) {
		t.Errorf("short passphrase: %v", err)
	}
	if lock, err := WithPassphrase("zwölf Zeichen"); err != nil || !lock.Passphrase {
		t.Errorf("passphrase: %v", err)
	}
	if _, err := Passphrase(""); err == nil {
		t.Error("an empty passphrase opens nothing")
	}
	for name, file := range map[string]string{"empty": "", "words": "AGE-SECRET-KEY-1NONSENSE\n", "a passphrase": "hunter2hunter2\n"} {
		if _, err := Identities([]byte(file)); err == nil || strings.Contains(err.Error(), strings.TrimSpace(file)) && file != "" {
			t.Errorf("identity file with %s: %v", name, err)
		}
	}
	if _, err := Identities(encrypt(t, fast(t, "correct horse battery"), id.String())); err == nil || !strings.Contains(err.Error(), "age -d") {
		t.Errorf("encrypted identity file: %v", err)
	}
}
