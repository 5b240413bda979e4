package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"

	"github.com/google/go-cmp/cmp"
)

// release is a version of all plugins, as archives in a directory.
type release struct {
	tag      string
	archives string
}

// writeIndex renders the manifests of all plugins into dir/plugins, as krew expects them in the git repository of an
// index. It checks what every archive contains, and fails if one is missing. place returns where an archive can be
// downloaded, given its address in the template.
func (r release) writeIndex(templates, dir string, place func(url string) string) error {
	for _, p := range plugins() {
		for _, on := range platforms() {
			got, err := archiveContents(filepath.Join(r.archives, p.archive(r.tag, on)))
			if err != nil {
				return err
			}
			if diff := cmp.Diff(p.contents(on), got); diff != "" {
				return fmt.Errorf("%s: files (-want +got):\n%s", p.archive(r.tag, on), diff)
			}
		}
		text, err := os.ReadFile(filepath.Join(templates, string(p)+".yaml")) //nolint:gosec // a template of this repository
		if err != nil {
			return err
		}
		manifest, err := render(text, r.tag, func(url string) (asset, error) {
			sum, err := fileSum(filepath.Join(r.archives, path.Base(url)))
			return asset{uri: place(url), sha256: sum}, err
		})
		if err != nil {
			return err
		}
		if err := writeFile(filepath.Join(dir, "plugins", string(p)+".yaml"), manifest, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func fileSum(name string) (string, error) {
	in, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer func() { _ = in.Close() }()
	hash := sha256.New()
	if _, err := io.Copy(hash, in); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}
