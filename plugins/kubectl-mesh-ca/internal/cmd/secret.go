package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/confirm"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/kernel"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-ca/internal/archive"
)

// stdinName is the name of a file that means standard input.
const stdinName = "-"

// sealFlags say what a backup file is encrypted with.
type sealFlags struct {
	passphraseFile string
	recipients     []string
}

func (f *sealFlags) addFlags(fs *pflag.FlagSet) {
	fs.StringVar(&f.passphraseFile, "passphrase-file", "", "File with the passphrase of the backup file; - is standard input. Defaults to a prompt.")
	fs.StringSliceVar(&f.recipients, "recipient", nil, "Public key of age (age1...) to encrypt the backup file for, instead of a passphrase (repeatable).")
}

// given reports whether any of the flags was set.
func (f *sealFlags) given() bool { return f.passphraseFile != "" || len(f.recipients) > 0 }

// writer returns the writer of a backup file. flag is the one that names the file; dry says that nothing will be written, so that no passphrase is needed.
func (f *sealFlags) writer(e *kernel.Env, flag, path string, dry bool) (*archive.Writer, error) {
	switch {
	case path == stdinName:
		return nil, fmt.Errorf("%s is the name of a file; a backup is not written to standard output", flag)
	case len(f.recipients) > 0 && f.passphraseFile != "":
		return nil, errors.New("--recipient and --passphrase-file cannot be used together")
	case !dry && !f.given() && !output.IsTerminal(e.In):
		return nil, errNoPassphrase("--passphrase-file FILE or --recipient AGE1...")
	}
	full, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	w := &archive.Writer{Path: full, Disk: disk{}, Lock: func(ctx context.Context) (archive.Lock, error) {
		text, err := secret{Env: e, file: f.passphraseFile, twice: true, what: full}.read(ctx)
		if err != nil {
			return archive.Lock{}, err
		}
		return archive.WithPassphrase(text)
	}}
	if len(f.recipients) > 0 {
		lock, err := archive.ForRecipients(f.recipients)
		if err != nil {
			return nil, err
		}
		w.Lock = func(context.Context) (archive.Lock, error) { return lock, nil }
	}
	return w, nil
}

// openFlags say what a backup file is decrypted with.
type openFlags struct{ passphraseFile, identity string }

func (f *openFlags) addFlags(fs *pflag.FlagSet) {
	fs.StringVar(&f.passphraseFile, "passphrase-file", "", "File with the passphrase of --file; - is standard input. Defaults to a prompt.")
	fs.StringVar(&f.identity, "identity", "", "File with the secret key (AGE-SECRET-KEY-...) that opens --file, if it was encrypted for a recipient.")
}

func (f *openFlags) given() bool { return f.passphraseFile != "" || f.identity != "" }

// reader returns the reader of a backup file.
func (f *openFlags) reader(e *kernel.Env, path string) (*archive.Reader, error) {
	if f.identity != "" && f.passphraseFile != "" {
		return nil, errors.New("--identity and --passphrase-file cannot be used together")
	}
	full, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("--file: %w", err)
	}
	return &archive.Reader{Path: full, Disk: disk{}, Key: func(ctx context.Context, need archive.Need) (archive.Key, error) {
		return f.key(ctx, e, full, need)
	}}, nil
}

// key returns what opens a file that needs a passphrase or an identity.
func (f *openFlags) key(ctx context.Context, e *kernel.Env, path string, need archive.Need) (archive.Key, error) {
	switch {
	case need == archive.NeedIdentity && f.identity == "":
		return archive.Key{}, fmt.Errorf("%s was encrypted for a recipient of age; name the file with its secret key with --identity", path)
	case need == archive.NeedPassphrase && f.identity != "":
		return archive.Key{}, fmt.Errorf("%s was encrypted with a passphrase; use --passphrase-file or the prompt instead of --identity", path)
	case need == archive.NeedIdentity:
		data, err := secret{Env: e, file: f.identity}.readFile()
		if err != nil {
			return archive.Key{}, fmt.Errorf("--identity: %w", err)
		}
		key, err := archive.Identities(data)
		if err != nil {
			return archive.Key{}, fmt.Errorf("--identity: %s: %w", f.identity, err)
		}
		return key, nil
	}
	text, err := secret{Env: e, file: f.passphraseFile, what: path}.read(ctx)
	if err != nil {
		return archive.Key{}, err
	}
	return archive.Passphrase(text)
}

// secret is a text that comes from a file, standard input, or a person. It is never taken from an argument or the environment, which other processes see.
type secret struct {
	*kernel.Env
	file  string // "" asks, "-" is standard input
	twice bool   // it is new: a person types it twice
	what  string // the file that it is for
}

func errNoPassphrase(flags string) error {
	return fmt.Errorf("a passphrase is required, but stdin is not a terminal; use %s. No file was written", flags)
}

// read returns the passphrase: the only line of its file, or what a person types.
func (s secret) read(ctx context.Context) (string, error) {
	if s.file == "" {
		return s.ask(ctx)
	}
	data, err := s.readFile()
	if err != nil {
		return "", fmt.Errorf("--passphrase-file: %w", err)
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	switch {
	case text == "":
		return "", fmt.Errorf("--passphrase-file: %s is empty", s.file)
	case strings.ContainsAny(text, "\r\n"):
		return "", fmt.Errorf("--passphrase-file: %s has more than one line; a passphrase is one line", s.file)
	}
	return text, nil
}

// maxSecret bounds a passphrase or an identity file, in bytes.
const maxSecret = 1 << 20

func (s secret) readFile() ([]byte, error) {
	if s.file == stdinName {
		return io.ReadAll(io.LimitReader(s.In, maxSecret))
	}
	f, err := os.Open(s.file)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	if info, err := f.Stat(); err == nil && othersMayRead(runtime.GOOS, info.Mode()) {
		s.Warn("users other than its owner can read %s (mode %#o)", s.file, info.Mode().Perm())
	}
	return io.ReadAll(io.LimitReader(f, maxSecret))
}

// ask lets a person type the passphrase, which is not shown.
func (s secret) ask(ctx context.Context) (string, error) {
	if !output.IsTerminal(s.In) {
		return "", fmt.Errorf("the passphrase of %s is required, but stdin is not a terminal; use --passphrase-file FILE", s.what)
	}
	first, err := s.prompt(ctx, "Passphrase for "+s.what+": ")
	if err != nil || !s.twice {
		return first, err
	}
	if _, err := archive.WithPassphrase(first); err != nil { // before it is typed again
		return "", err
	}
	again, err := s.prompt(ctx, "The same again: ")
	switch {
	case err != nil:
		return "", err
	case again != first:
		return "", errors.New("the two passphrases are different; run the command again")
	}
	return first, nil
}

// prompt reads one line from the terminal without showing it. After Ctrl-C the terminal shows again what is typed.
func (s secret) prompt(ctx context.Context, question string) (string, error) {
	f, ok := s.In.(*os.File)
	if !ok {
		return "", errNoPassphrase("--passphrase-file FILE")
	}
	fd := int(f.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	_, _ = fmt.Fprint(s.ErrOut, output.Clean(question))
	type answer struct {
		text []byte
		err  error
	}
	answers := make(chan answer, 1)
	go func() { // a read from a terminal cannot be cancelled; the process exits soon after an interrupt
		text, err := term.ReadPassword(fd)
		answers <- answer{text, err}
	}()
	select {
	case <-ctx.Done():
		_ = term.Restore(fd, before) // the process ends anyway
		_, _ = fmt.Fprintln(s.ErrOut)
		return "", confirm.Interrupted(ctx.Err())
	case a := <-answers:
		_, _ = fmt.Fprintln(s.ErrOut)
		switch {
		case a.err != nil:
			return "", fmt.Errorf("read the passphrase: %w", a.err)
		case len(a.text) == 0:
			return "", errors.New("the passphrase is empty; nothing was changed")
		}
		return string(a.text), nil
	}
}
