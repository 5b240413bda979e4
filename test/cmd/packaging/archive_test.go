package main

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	binary, license := filepath.Join(dir, "kubectl-mesh_svc"), filepath.Join(dir, "LICENSE")
	write(t, binary, "binary", 0o755)
	write(t, license, "licence", 0o600)
	date := time.Date(2026, 11, 30, 5, 0, 0, 0, time.UTC)

	first := filepath.Join(dir, "first.tar.gz")
	if err := pack(first, date, binary, license); err != nil {
		t.Fatal(err)
	}
	type file struct {
		Name, Content string
		Mode          int64
		Time          time.Time
	}
	var got []file
	for name, content := range untar(t, first) {
		got = append(got, file{name.Name, content, name.Mode, name.ModTime.UTC()})
	}
	want := []file{{"kubectl-mesh_svc", "binary", 0o755, date}, {"LICENSE", "licence", 0o644, date}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("archive (-want +got):\n%s", diff)
	}

	// Another day's copy of the same files, made with another umask, makes the same archive.
	if err := os.Chmod(binary, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(binary, time.Unix(1, 0), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	second := filepath.Join(dir, "second.tar.gz")
	if err := pack(second, date, binary, license); err != nil {
		t.Fatal(err)
	}
	if a, b := sum(t, first), sum(t, second); a != b {
		t.Errorf("the same files made another archive: %s, then %s", a, b)
	}
	names, err := archiveContents(first)
	if diff := cmp.Diff([]string{"LICENSE", "kubectl-mesh_svc"}, names); err != nil || diff != "" {
		t.Errorf("contents, error %v (-want +got):\n%s", err, diff)
	}
	if err := pack(filepath.Join(dir, "third.tar.gz"), date, filepath.Join(dir, "absent")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error for an absent file = %v, want %v", err, os.ErrNotExist)
	}
}

func sum(t *testing.T, file string) string {
	t.Helper()
	sum, err := fileSum(file)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func write(t *testing.T, name, content string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

func untar(t *testing.T, name string) func(yield func(*tar.Header, string) bool) {
	t.Helper()
	return func(yield func(*tar.Header, string) bool) {
		in, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = in.Close() }()
		zip, err := gzip.NewReader(in)
		if err != nil {
			t.Fatal(err)
		}
		for tarball := tar.NewReader(zip); ; {
			header, err := tarball.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			content, err := io.ReadAll(tarball)
			if err != nil {
				t.Fatal(err)
			}
			if !yield(header, string(content)) {
				return
			}
		}
	}
}
