package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// builder makes the files of a release: archives, SBOMs and checksums. Their bytes depend on the sources, the values here
// and the version of Go only.
type builder struct {
	release
	source  string // the checkout
	ldflags string
	date    time.Time // of the commit; every packed file gets it
	sbom    string    // the program cyclonedx-gomod; without it, there are no SBOMs
	built   []platform
	plugins []plugin
}

func (b *builder) addFlags(fs *flag.FlagSet) {
	fs.StringVar(&b.tag, "tag", "", "tag of the release")
	fs.StringVar(&b.archives, "to", "dist/release", "directory to write to; its previous content is deleted")
	fs.StringVar(&b.source, "source", ".", "directory of the checkout")
	fs.StringVar(&b.ldflags, "ldflags", "", "flags for the linker")
	fs.StringVar(&b.sbom, "sbom", "", "the program cyclonedx-gomod. Without it, no SBOMs are made")
	fs.Func("date", "date of the commit, as RFC 3339", func(s string) (err error) {
		b.date, err = time.Parse(time.RFC3339, s)
		return err
	})
	fs.Func("platforms", "OS/ARCH, separated by spaces. The archives of all others contain text files instead of a plugin, which is enough to test their manifests. Defaults to all", func(s string) error {
		for _, name := range strings.Fields(s) {
			i := slices.IndexFunc(platforms(), func(p platform) bool { return p.String() == name })
			if i < 0 {
				return fmt.Errorf("%s is not a platform of a release: %v", name, platforms())
			}
			b.built = append(b.built, platforms()[i])
		}
		return nil
	})
}

func (b *builder) run(ctx context.Context) (err error) {
	if b.tag == "" {
		return errors.New("-tag is required")
	}
	if b.built == nil {
		b.built = platforms()
	}
	if b.plugins == nil {
		b.plugins = plugins()
	}
	if err := errors.Join(os.RemoveAll(b.archives), os.MkdirAll(b.archives, 0o755)); err != nil { //nolint:gosec // a release is public
		return err
	}
	work, err := os.MkdirTemp("", "release-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	for _, on := range platforms() {
		dir := filepath.Join(work, on.OS+"_"+on.Arch)
		if !slices.Contains(b.built, on) {
			err = b.standIn(on, dir)
		} else {
			_, _ = fmt.Fprintf(os.Stderr, "building %s for %s\n", b.tag, on)
			err = b.platform(ctx, on, dir)
		}
		if err != nil {
			return err
		}
	}
	return b.writeChecksums()
}

// platform builds all plugins for a platform and packs each of them.
func (b *builder) platform(ctx context.Context, on platform, dir string) error {
	args := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags", b.ldflags, "-o", dir + string(filepath.Separator)}
	for _, p := range b.plugins {
		args = append(args, p.mainPackage())
	}
	build := exec.CommandContext(ctx, "go", args...)
	build.Dir = b.source
	// The last two are Go's defaults: a setting of the user must not get into a release.
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+on.OS, "GOARCH="+on.Arch, "GOAMD64=v1", "GOARM64=v8.0")
	if _, err := commandOutput(build); err != nil {
		return err
	}
	for _, p := range b.plugins {
		binary := filepath.Join(dir, p.binary(on))
		contents := filepath.Join(dir, "contents-"+string(p))
		if err := writeContents(ctx, b.source, binary, contents); err != nil {
			return err
		}
		if err := b.pack(p, on, binary, contents); err != nil {
			return err
		}
		if err := b.writeSBOM(ctx, p, on, binary); err != nil {
			return err
		}
	}
	return nil
}

// writeSBOM lists the modules in a binary, from what Go recorded there. Neither a time nor a random serial number is in
// the SBOM: both would differ in each run. Nor are licenses, for which cyclonedx-gomod needs the network: the archive has
// the texts.
func (b *builder) writeSBOM(ctx context.Context, p plugin, on platform, binary string) error {
	if b.sbom == "" {
		return nil
	}
	_, err := commandOutput(exec.CommandContext(ctx, b.sbom, "bin", "-json", "-std", "-noserial", "-notimestamp", "-version", b.tag,
		"-output", filepath.Join(b.archives, p.sbom(b.tag, on)), binary))
	return err
}

// standIn packs text files with the names of the real ones.
func (b *builder) standIn(on platform, dir string) error {
	for _, p := range b.plugins {
		binary := filepath.Join(dir, p.binary(on))
		contents := filepath.Join(dir, "contents-"+string(p))
		text := []byte("not built for " + on.String() + "\n")
		err := errors.Join(
			writeFile(binary, text, 0o755),
			writeFile(filepath.Join(contents, noticesFile), text, 0o644),
			writeFile(filepath.Join(contents, p.completion(on.OS)), text, 0o755))
		if err != nil {
			return err
		}
		if err := b.pack(p, on, binary, contents); err != nil {
			return err
		}
	}
	return nil
}

// pack makes one archive, from the binary, the license of this repository, and the files that writeContents made.
func (b *builder) pack(p plugin, on platform, binary, contents string) error {
	var files []string
	for _, name := range p.contents(on) {
		switch name {
		case p.binary(on):
			files = append(files, binary)
		case licenseName:
			files = append(files, filepath.Join(b.source, name))
		default:
			files = append(files, filepath.Join(contents, name))
		}
	}
	return pack(filepath.Join(b.archives, p.archive(b.tag, on)), b.date, files...)
}

// writeChecksums lists the SHA-256 of every file, in the form that sha256sum reads.
func (b *builder) writeChecksums() error {
	files, err := os.ReadDir(b.archives)
	if err != nil {
		return err
	}
	var list strings.Builder
	for _, file := range files {
		sum, err := fileSum(filepath.Join(b.archives, file.Name()))
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(&list, "%s  %s\n", sum, file.Name())
	}
	return writeFile(filepath.Join(b.archives, "checksums.txt"), []byte(list.String()), 0o644)
}
