package build

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// listedPackage is what go list -json says of a package.
type listedPackage struct {
	ImportPath string
	Dir        string
	Standard   bool
	Module     *listedModule
	GoFiles    []string
	SFiles     []string
	HFiles     []string
	EmbedFiles []string
}

type listedModule struct {
	Path    string
	Version string
	Main    bool
	Replace *listedModule
}

// hash is a name for what packages are made of. The files of this repository are
// read; a package of another module is as its version says, and the standard
// library as the version of Go says (one of the salts).
func hash(packages []listedPackage, salts []string) (string, error) {
	lines := slices.Clone(salts)
	for _, p := range packages {
		switch {
		case p.Standard:
		case p.Module == nil || p.Module.Main || p.Module.Replace != nil && p.Module.Replace.Version == "":
			for _, name := range slices.Concat(p.GoFiles, p.SFiles, p.HFiles, p.EmbedFiles) {
				sum, err := fileSum(filepath.Join(p.Dir, name))
				if err != nil {
					return "", err
				}
				lines = append(lines, strings.Join([]string{p.ImportPath, name, sum}, " "))
			}
		default:
			module := p.Module
			if module.Replace != nil {
				module = module.Replace
			}
			lines = append(lines, strings.Join([]string{p.ImportPath, module.Path, module.Version}, " "))
		}
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	const enough = 12
	return hex.EncodeToString(sum[:enough]), nil
}

func fileSum(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("read %s: %w", name, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
