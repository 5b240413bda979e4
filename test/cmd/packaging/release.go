package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/google/go-cmp/cmp"
)

// release is a version of all plugins, as archives in a directory.
type release struct {
	tag      string
	archives string
}

// pack makes the archives of all platforms from the binaries in builds/OS_ARCH. For a platform that was not built, it
// packs text files instead of the plugin: they have the right names, and no machine runs them.
func (r release) pack(ctx context.Context, builds, license, work string) error {
	built, err := builtPlatforms(builds)
	if err != nil {
		return err
	}
	for _, p := range plugins() {
		for _, on := range platforms() {
			files := []string{license}
			dir := filepath.Join(work, p.archive(r.tag, on))
			if slices.Contains(built, on) {
				binary := filepath.Join(builds, on.OS+"_"+on.Arch, p.binary(on))
				if err := writeContents(ctx, binary, dir); err != nil {
					return err
				}
				files = append(files, binary)
			}
			for _, name := range p.contents(on) {
				file := filepath.Join(dir, name)
				switch {
				case slices.ContainsFunc(files, func(f string) bool { return filepath.Base(f) == name }):
					continue
				case !slices.Contains(built, on):
					if err := writeFile(file, []byte("not built for "+on.String()+"\n"), 0o755); err != nil {
						return err
					}
				}
				files = append(files, file)
			}
			if err := pack(filepath.Join(r.archives, p.archive(r.tag, on)), files...); err != nil {
				return err
			}
		}
	}
	return nil
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
		text, err := os.ReadFile(filepath.Join(templates, string(p)+".yaml"))
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
