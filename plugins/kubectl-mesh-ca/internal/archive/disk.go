package archive

import (
	"context"
	"fmt"
)

// Disk is the part of the machine on which backup files are.
type Disk interface {
	// Free returns an error if a new file cannot be at the path; one that exists is never replaced.
	Free(path string) error
	// Create writes a new file that only its owner may read, completely or not at all. It never replaces a file.
	Create(path string, data []byte) error
	// Read reads a file, and refuses one that others than its owner may read.
	Read(path string) ([]byte, error)
}

// Writer writes one backup file.
type Writer struct {
	Path string
	Disk Disk
	// Lock says what to encrypt with. It may ask a person.
	Lock func(ctx context.Context) (Lock, error)
}

// Check returns an error if the file cannot be written, before anything else is done.
func (w *Writer) Check() error { return w.Disk.Free(w.Path) }

// Write encrypts and writes the file. It returns what the file opens with.
func (w *Writer) Write(ctx context.Context, f File) (Need, error) {
	lock, err := w.Lock(ctx)
	if err != nil {
		return "", err
	}
	data, err := Seal(f, lock)
	if err != nil {
		return "", err
	}
	if err := w.Disk.Create(w.Path, data); err != nil {
		return "", fmt.Errorf("write %s: %w", w.Path, err)
	}
	if lock.Passphrase {
		return NeedPassphrase, nil
	}
	return NeedIdentity, nil
}

// Reader reads one backup file.
type Reader struct {
	Path string
	Disk Disk
	// Key returns what opens the file. It may ask a person.
	Key func(ctx context.Context, need Need) (Key, error)
}

// Read reads, decrypts and checks the file.
func (r *Reader) Read(ctx context.Context) (File, error) {
	data, err := r.Disk.Read(r.Path)
	if err != nil {
		return File{}, err
	}
	need, err := Needs(data)
	if err != nil {
		return File{}, fmt.Errorf("%s cannot be restored: %w", r.Path, err)
	}
	key, err := r.Key(ctx, need)
	if err != nil {
		return File{}, err
	}
	f, err := Open(data, key)
	if err != nil {
		return File{}, fmt.Errorf("%s cannot be restored: %w", r.Path, err)
	}
	return f, nil
}
