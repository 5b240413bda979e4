package main

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// pack writes the files, by their base names, into a .tar.gz. All have the same time. Owners and what the umask decides
// are left out, so that equal files make equal archives.
func pack(archive string, date time.Time, files ...string) (err error) {
	out, err := os.Create(archive)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	zip := gzip.NewWriter(out)
	tarball := tar.NewWriter(zip)
	for _, file := range files {
		if err := addFile(tarball, date, file); err != nil {
			return err
		}
	}
	return errors.Join(tarball.Close(), zip.Close())
}

// archiveContents lists the files of a .tar.gz, sorted.
func archiveContents(archive string) ([]string, error) {
	in, err := os.Open(archive)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }()
	zip, err := gzip.NewReader(in)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", archive, err)
	}
	var names []string
	for tarball := tar.NewReader(zip); ; {
		header, err := tarball.Next()
		if errors.Is(err, io.EOF) {
			slices.Sort(names)
			return names, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", archive, err)
		}
		names = append(names, header.Name)
	}
}

func addFile(tarball *tar.Writer, date time.Time, file string) error {
	in, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	mode := int64(0o644)
	if info.Mode()&0o100 != 0 {
		mode = 0o755
	}
	header := &tar.Header{Name: filepath.Base(file), Mode: mode, Size: info.Size(), ModTime: date, Typeflag: tar.TypeReg}
	if err := tarball.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(tarball, in)
	return err
}
