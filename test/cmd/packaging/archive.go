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
	"strings"
)

// pack writes the files, by their base names, into a .tar.gz. Times and owners are left out, so that equal files make
// equal archives.
func pack(archive string, files ...string) (err error) {
	out, err := os.Create(archive)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	zip := gzip.NewWriter(out)
	tarball := tar.NewWriter(zip)
	for _, file := range files {
		if err := addFile(tarball, file); err != nil {
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

func addFile(tarball *tar.Writer, file string) error {
	in, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	header := &tar.Header{Name: filepath.Base(file), Mode: int64(info.Mode().Perm()), Size: info.Size(), Typeflag: tar.TypeReg}
	if err := tarball.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(tarball, in)
	return err
}

// builtPlatforms lists the OS_ARCH directories below dir.
func builtPlatforms(dir string) ([]platform, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var found []platform
	for _, entry := range entries {
		system, arch, ok := strings.Cut(entry.Name(), "_")
		if !entry.IsDir() || !ok {
			return nil, fmt.Errorf("%s: only directories called OS_ARCH are expected there", filepath.Join(dir, entry.Name()))
		}
		found = append(found, platform{OS: system, Arch: arch})
	}
	slices.SortFunc(found, func(a, b platform) int { return strings.Compare(a.String(), b.String()) })
	return found, nil
}
