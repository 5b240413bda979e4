// Schema writes the JSON Schemas of the documents, from the Go types of pkg/apis/v1alpha1 and their comments. With -release, it also records the fields
// of a release, which must keep their names, types and meanings.
//
//	go run ./test/cmd/schema             # make schema
//	go run ./test/cmd/schema -release    # make schema-release
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	release := flag.Bool("release", false, "If true, add the present fields to the fields that were released.")
	reworded := flag.Bool("reworded", false, "If true, -release accepts new descriptions of released fields. Their meaning must be the same.")
	flag.Parse()
	root, err := repository()
	if err == nil {
		err = write(root)
	}
	if err == nil && *release {
		err = record(root, *reworded)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		os.Exit(1)
	}
}

// repository finds the root of the repository above the working directory.
func repository() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, typesDir, "types.go")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("run this in the repository")
		}
		dir = parent
	}
	return "", err
}

const (
	typesDir   = "pkg/apis/v1alpha1"
	schemasDir = typesDir + "/schema"
)

// write writes a file for each kind, and removes those of kinds that no longer exist.
func write(root string) error {
	files, err := render(root)
	if err != nil {
		return err
	}
	old, err := filepath.Glob(filepath.Join(root, schemasDir, "*.json"))
	if err != nil {
		return err
	}
	for _, path := range old {
		if files[filepath.Base(path)] == nil {
			err = errors.Join(err, os.Remove(path))
		}
	}
	for name, content := range files {
		err = errors.Join(err, os.WriteFile(filepath.Join(root, schemasDir, name), content, 0o644)) //nolint:gosec // a source file that everybody may read
	}
	return err
}

// render returns the files by name.
func render(root string) (map[string][]byte, error) {
	schemas, err := schemasOf(root)
	if err != nil {
		return nil, err
	}
	out := map[string][]byte{}
	for kind, n := range schemas {
		if out[kind+".json"], err = file(n); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func schemasOf(root string) (map[string]*node, error) {
	c, err := readComments(filepath.Join(root, typesDir))
	if err != nil {
		return nil, err
	}
	return generate(c)
}
