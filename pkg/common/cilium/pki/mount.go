package pki

import (
	"fmt"
	"path"
	"strconv"
	"strings"
)

// ObjectKind is the kind of an object whose keys become files of a volume.
type ObjectKind string

// The two kinds that matter here.
const (
	Secret    ObjectKind = "Secret"
	ConfigMap ObjectKind = "ConfigMap"
)

// Ref names an object in Cilium's namespace.
type Ref struct {
	Kind ObjectKind
	Name string
}

// String is the form that kubectl takes.
func (r Ref) String() string { return strings.ToLower(string(r.Kind)) + "/" + r.Name }

// Object is the data of a Secret or ConfigMap, or why there is none.
type Object struct {
	Data map[string][]byte
	// Absent says that the API server has no such object.
	Absent bool
	// Unreadable says why it could not be read (no permission, for example); empty when it was, or is absent.
	Unreadable string
}

// Workload is what matters of a pod template: which files its containers see.
type Workload struct {
	Init       []Container
	Containers []Container
	Volumes    []Volume
}

// Container is one container of a Workload. Args holds command and arguments, Env the variables with a literal value.
type Container struct {
	Name   string
	Image  string
	Args   []string
	Env    map[string]string
	Mounts []Mount
}

// Mount places a volume in a container. A mount with a sub path or an expression is marked Odd: it is not followed.
type Mount struct {
	Volume, Path string
	Odd          bool
}

// Volume is a projected, secret or configMap volume. Other says what it is when it is something else.
type Volume struct {
	Name    string
	Sources []Projection
	Other   string
}

// Projection is one object in a volume. Without Items every key becomes a file of its name.
type Projection struct {
	Ref   Ref
	Items []Item
}

// Item places one key at a path in the volume.
type Item struct{ Key, Path string }

// Source is where a file comes from.
type Source struct {
	Ref Ref
	Key string
}

// String names the source as status shows it.
func (s Source) String() string { return s.Ref.String() + "[" + s.Key + "]" }

// Container finds a container by name.
func (w *Workload) Container(name string) (Container, bool) {
	if w != nil {
		for _, c := range w.Containers {
			if c.Name == name {
				return c, true
			}
		}
	}
	return Container{}, false
}

// initContainer finds an init container by name.
func (w *Workload) initContainer(name string) (Container, bool) {
	if w == nil {
		return Container{}, false
	}
	return (&Workload{Containers: w.Init}).Container(name)
}

// enabled reports whether a boolean flag is set in the container's command line. pflag takes a value only after "=".
func (c Container) enabled(name string) bool {
	set := false
	for _, arg := range c.Args {
		if arg == "--"+name {
			set = true
		} else if v, ok := strings.CutPrefix(arg, "--"+name+"="); ok {
			b, err := strconv.ParseBool(v)
			set = err == nil && b
		}
	}
	return set
}

// Flag is the value of a long flag in the container's command line, or def when it is not there.
func (c Container) Flag(name, def string) string {
	for i, arg := range c.Args {
		if v, ok := strings.CutPrefix(arg, "--"+name+"="); ok {
			return v
		}
		if arg == "--"+name && i+1 < len(c.Args) {
			return c.Args[i+1]
		}
	}
	return def
}

// source follows a file of a container back to the object and key that it is made from. objects is needed for projections without items, where every
// key becomes a file. Later sources of a projected volume win over earlier ones, as in kubelet (pkg/volume/projected collectData).
func (w *Workload) source(c Container, file string, objects map[Ref]Object) (Source, error) {
	var mount Mount
	for _, m := range c.Mounts {
		if rel(m.Path, file) != "" && len(m.Path) > len(mount.Path) {
			mount = m
		}
	}
	switch {
	case mount.Volume == "":
		return Source{}, fmt.Errorf("container %s mounts nothing at %s", c.Name, file)
	case mount.Odd:
		return Source{}, fmt.Errorf("container %s mounts %s with a sub path, which is not followed", c.Name, mount.Path)
	}
	for _, v := range w.Volumes {
		if v.Name != mount.Volume {
			continue
		}
		if v.Other != "" {
			return Source{}, fmt.Errorf("%s comes from a volume of type %s", file, v.Other)
		}
		return v.source(rel(mount.Path, file), objects)
	}
	return Source{}, fmt.Errorf("container %s mounts volume %s, which the pod does not have", c.Name, mount.Volume)
}

func (v Volume) source(name string, objects map[Ref]Object) (Source, error) {
	var doubt string
	for i := len(v.Sources) - 1; i >= 0; i-- {
		p := v.Sources[i]
		for _, item := range p.Items {
			if path.Clean(item.Path) == name {
				return Source{Ref: p.Ref, Key: item.Key}, nil
			}
		}
		if len(p.Items) > 0 {
			continue
		}
		switch obj, known := objects[p.Ref]; {
		case !known || obj.Unreadable != "":
			doubt = fmt.Sprintf("%s may contain it, but was not read", p.Ref)
		case obj.Data[name] != nil:
			return Source{Ref: p.Ref, Key: name}, nil
		}
	}
	if doubt != "" {
		return Source{}, fmt.Errorf("volume %s: no %s; %s", v.Name, name, doubt)
	}
	return Source{}, fmt.Errorf("volume %s has no file %s", v.Name, name)
}

// rel is the path of file below dir, or "" when it is not below it.
func rel(dir, file string) string {
	r, ok := strings.CutPrefix(path.Clean(file), strings.TrimSuffix(path.Clean(dir), "/")+"/")
	if !ok {
		return ""
	}
	return r
}
