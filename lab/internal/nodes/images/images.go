// Package images is what the lab has instead of a registry: it knows which programs of this
// machine each image meshlab/* is made of and turns an image name into a root file
// system, an environment and a default command. It knows no Kubernetes and starts nothing.
package images

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/lab/internal/network/podwire"
)

// ErrUnknown says that the lab has no image of this name.
var ErrUnknown = errors.New("the lab has no such image")

// ErrMissing says that this machine lacks the programs of an image.
var ErrMissing = errors.New("this machine lacks the programs of the image")

// Lab is the path of the lab's own binary in the images web and distroless.
const Lab = "/lab"

// Path is the search path in all images.
const Path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Image is what a container needs to start.
type Image struct {
	Root    podwire.Root
	Env     []string
	Command []string // what runs when the pod does not say
	// Privileged containers keep all capabilities.
	Privileged bool
}

// Store holds the images of this machine.
type Store struct {
	images  map[string]Image
	missing map[string]string // image -> what to install
}

// names lists the images, and the Debian packages that they are made of.
var packages = map[string][]string{
	"busybox":    {"busybox-static"},
	"curl":       {"curl", "dash", "coreutils"},
	"wget":       {"wget", "dash", "coreutils"},
	"web":        nil,
	"distroless": nil,
}

// tools are added to the images curl and wget as far as the machine has them: what scripts in a Debian container expect.
var tools = []string{
	"gzip", "awk", "cat", "date", "echo", "env", "expr", "head", "ls", "mkdir", "mktemp", "printf", "rm", "seq", "sleep", "sort", "tail",
	"tee", "timeout", "touch", "tr", "true", "false", "uniq", "wc", "id", "uname", "hostname", "grep", "sed", "ps", "kill", "stty", "tty", "sha1sum", "dd", "od", "cut",
}

// Open looks the images' programs up on this machine; lab is the lab's own static binary.
// A missing program is not an error here: see Missing.
func Open(ctx context.Context, lab string) (*Store, error) {
	s := &Store{images: map[string]Image{}, missing: map[string]string{}}
	own := podwire.Bind{Source: lab, Target: Lab}
	forever := []string{"sleep", "2147483647"}
	serve := []string{Lab, "web"}

	s.images["distroless"] = Image{Root: podwire.Root{Binds: []podwire.Bind{own}}, Command: serve}
	web := podwire.Root{Binds: []podwire.Bind{own}}
	box, err := busybox(ctx)
	switch {
	case errors.Is(err, ErrMissing):
		s.missing["busybox"] = strings.Join(packages["busybox"], " ")
	case err != nil:
		return nil, err
	default:
		s.images["busybox"] = Image{Root: box, Command: forever}
		web.Binds = append(web.Binds, box.Binds...)
		web.Links = box.Links
	}
	s.images["web"] = Image{Root: web, Command: serve}
	for _, name := range []string{"curl", "wget"} {
		root, err := debian(name)
		switch {
		case errors.Is(err, ErrMissing):
			s.missing[name] = strings.Join(packages[name], " ")
		case err != nil:
			return nil, err
		default:
			s.images[name] = Image{Root: root, Command: forever}
		}
	}
	for name, img := range s.images {
		img.Env = []string{"PATH=" + Path, "HOME=/root"}
		img.Root.Files = append([]podwire.File{
			{Path: "/etc/passwd", Content: "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n", Mode: 0o644},
			{Path: "/etc/group", Content: "root:x:0:\nnogroup:x:65534:\n", Mode: 0o644},
			{Path: "/etc/nsswitch.conf", Content: "passwd: files\ngroup: files\nhosts: files dns\n", Mode: 0o644},
		}, img.Root.Files...)
		s.images[name] = img
	}
	return s, nil
}

// Missing lists what to install for the images that this machine cannot make, and names them.
func (s *Store) Missing() (install, images []string) {
	for name, pkgs := range s.missing {
		images = append(images, name)
		install = append(install, strings.Fields(pkgs)...)
	}
	slices.Sort(images)
	slices.Sort(install)
	return slices.Compact(install), images
}

// Name returns the lab's short name of an image reference: "web" for meshlab/web:1.0. ok is
// false for an image that is not the lab's.
func Name(ref string) (name string, ok bool) {
	ref, _, _ = strings.Cut(ref, "@")
	ref = strings.TrimPrefix(ref, "docker.io/")
	name, ok = strings.CutPrefix(ref, "meshlab/")
	if !ok {
		return "", false
	}
	name, _, _ = strings.Cut(name, ":")
	return name, true
}

// Find returns an image of the lab by its short name.
func (s *Store) Find(name string) (Image, error) {
	if img, ok := s.images[name]; ok {
		return img, nil
	}
	if pkgs, ok := s.missing[name]; ok {
		return Image{}, fmt.Errorf("%w meshlab/%s: apt-get install %s", ErrMissing, name, pkgs)
	}
	known := make([]string, 0, len(packages))
	for n := range packages {
		known = append(known, n)
	}
	slices.Sort(known)
	return Image{}, fmt.Errorf("%w: meshlab/%s (it has %s)", ErrUnknown, name, strings.Join(known, ", "))
}

// busybox is one binary and a link for each of its applets.
func busybox(ctx context.Context) (podwire.Root, error) {
	file, err := find("busybox")
	if err != nil {
		return podwire.Root{}, err
	}
	libs, err := Closure(file)
	if err != nil {
		return podwire.Root{}, err
	}
	out, err := exec.CommandContext(ctx, file, "--list").Output() //nolint:gosec // a program of this machine
	if err != nil {
		return podwire.Root{}, fmt.Errorf("%s --list: %w", file, err)
	}
	root := podwire.Root{Binds: append([]podwire.Bind{{Source: file, Target: "/bin/busybox"}}, same(libs)...)}
	for _, applet := range strings.Fields(string(out)) {
		if applet != "busybox" {
			root.Links = append(root.Links, podwire.Link{Name: "/bin/" + applet, Target: "busybox"})
		}
	}
	root.Links = append(root.Links, podwire.Link{Name: "/usr/bin/env", Target: "../../bin/busybox"})
	return root, nil
}

// debian is one program with dash and coreutils and all libraries they need.
func debian(program string) (podwire.Root, error) {
	main, err := find(program)
	if err != nil {
		return podwire.Root{}, err
	}
	shell, err := find("dash")
	if err != nil {
		return podwire.Root{}, err
	}
	root := podwire.Root{Binds: []podwire.Bind{{Source: main, Target: "/usr/bin/" + program}, {Source: shell, Target: "/bin/sh"}}}
	files := []string{main, shell}
	for _, t := range tools {
		if f, err := find(t); err == nil {
			files = append(files, f)
			root.Binds = append(root.Binds, podwire.Bind{Source: f, Target: "/usr/bin/" + t})
		}
	}
	libs, err := Closure(files...)
	if err != nil {
		return podwire.Root{}, err
	}
	root.Binds = append(root.Binds, same(libs)...)
	root.Links = append(root.Links, podwire.Link{Name: "/bin/dash", Target: "sh"})
	for _, t := range []string{"gzip", "awk", "cat", "date", "echo", "sleep", "ls", "true", "false"} {
		root.Links = append(root.Links, podwire.Link{Name: "/bin/" + t, Target: "../usr/bin/" + t})
	}
	const certificates = "/etc/ssl/certs/ca-certificates.crt"
	if _, err := os.Stat(certificates); err == nil {
		root.Binds = append(root.Binds, podwire.Bind{Source: certificates, Target: certificates})
	}
	return root, nil
}

// find looks a program up where distributions put it, whatever PATH says.
func find(program string) (string, error) {
	for _, d := range []string{"/bin", "/usr/bin", "/sbin", "/usr/sbin", "/usr/local/bin"} {
		file := filepath.Join(d, program)
		if st, err := os.Stat(file); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return file, nil
		}
	}
	return "", fmt.Errorf("%w: no %s", ErrMissing, program)
}

// same binds files where they stand.
func same(files []string) []podwire.Bind {
	out := make([]podwire.Bind, 0, len(files))
	for _, f := range files {
		out = append(out, podwire.Bind{Source: f, Target: f})
	}
	return out
}
