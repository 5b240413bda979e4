package annotate

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// recordKind tells our files from others.
const recordKind = "UndoRecord"

// recordVersion is the version of the file format.
const recordVersion = "mesh.kubectl.io/v1alpha1"

// Record is the exact previous values of everything a command was about to write.
// It is on disk before the first write, so that a crash between any two writes loses nothing:
// undo compares what is there now with both sides of the record.
type Record struct {
	APIVersion string       `json:"apiVersion"`
	Kind       string       `json:"kind"`
	Action     string       `json:"action"`
	Manager    string       `json:"fieldManager"`
	Time       time.Time    `json:"time"`
	Items      []RecordItem `json:"items"`
}

// RecordItem is one Service of one cluster. A null value means that the annotation was, or will be, absent.
type RecordItem struct {
	Cluster    string `json:"cluster"`
	Context    string `json:"context"`
	ClusterUID string `json:"clusterUID,omitempty"`
	Namespace  string `json:"namespace"`
	Name       string `json:"name"`
	UID        string `json:"uid"`
	Before     Values `json:"before"`
	After      Values `json:"after"`
}

// Record returns the record of the pending items.
func (p *Plan) Record(now time.Time) *Record {
	r := &Record{APIVersion: recordVersion, Kind: recordKind, Action: p.Action, Manager: p.Manager, Time: now.UTC().Truncate(time.Second)}
	for _, i := range p.Pending() {
		r.Items = append(r.Items, RecordItem{Cluster: i.Member.Name, Context: i.Member.Context, ClusterUID: i.Member.UID,
			Namespace: i.Namespace, Name: i.Name, UID: string(i.UID), Before: i.Before, After: i.After})
	}
	return r
}

// StateDir returns where records are kept: $XDG_STATE_HOME/kubectl-mesh, else ~/.local/state/kubectl-mesh, or %LOCALAPPDATA%\kubectl-mesh on Windows.
func StateDir() (string, error) {
	dir, err := stateDir(runtime.GOOS, os.Getenv)
	if err != nil {
		return "", err
	}
	return filepath.Clean(dir), nil
}

// absoluteOnWindows matches a path with a drive and one on a server.
var absoluteOnWindows = regexp.MustCompile(`^([A-Za-z]:[\\/]|[\\/]{2}[^\\/])`)

// stateDir is StateDir on a platform. It joins names itself, because package filepath has only the rules of the machine that it was compiled for.
func stateDir(goos string, getenv func(string) string) (string, error) {
	const name = "kubectl-mesh"
	given, home := getenv("XDG_STATE_HOME"), getenv("HOME")
	if goos == "windows" {
		switch local := getenv("LOCALAPPDATA"); {
		case absoluteOnWindows.MatchString(given):
			return given + `\` + name, nil
		case local != "":
			return local + `\` + name, nil
		}
		return "", errors.New("%LOCALAPPDATA% is not defined")
	}
	switch {
	case strings.HasPrefix(given, "/"):
		return given + "/" + name, nil
	case home != "":
		return home + "/.local/state/" + name, nil
	}
	return "", errors.New("$HOME is not defined")
}

var unsafeInFile = regexp.MustCompile(`[^a-z0-9]+`)

// Save writes the record of the pending items to the state directory, before anything is changed, and returns its path.
func (p *Plan) Save(now time.Time) (string, error) {
	dir, err := StateDir()
	if err != nil {
		return "", unsaved(err)
	}
	path, err := p.Record(now).save(dir)
	if err != nil {
		return "", unsaved(err)
	}
	return path, nil
}

// unsaved says what a record that could not be saved means, and the way out.
func unsaved(err error) error {
	return fmt.Errorf("undo record: %w; nothing was changed. XDG_STATE_HOME chooses another directory for it", err)
}

// save writes the record to a new file of its own in dir and returns its path. The file is flushed to the disk; it has its name only when it is whole.
func (r *Record) save(dir string) (path string, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	const part = ".part"
	f, err := os.CreateTemp(dir, fmt.Sprintf("undo-%s-%s-*.json"+part, r.Time.Format("20060102T150405Z"), unsafeInFile.ReplaceAllString(r.Action, "-"))) // 0600
	if err != nil {
		return "", err
	}
	enc := json.NewEncoder(f)
	enc.SetIndent("", "  ")
	err = enc.Encode(r)
	if err == nil {
		err = f.Sync()
	}
	path = strings.TrimSuffix(f.Name(), part)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return path, nil
}

// Load reads a record.
func Load(path string) (*Record, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("undo record: %w", err)
	}
	r, err := Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// Parse reads a record from its bytes.
func Parse(raw []byte) (*Record, error) {
	var r Record
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, fmt.Errorf("undo record: not a valid undo record: %w", err)
	}
	if r.Kind != recordKind || r.APIVersion != recordVersion {
		return nil, fmt.Errorf("undo record: it is %q %q, not %q %q; name the file that the change printed", r.APIVersion, r.Kind, recordVersion, recordKind)
	}
	if len(r.Items) == 0 {
		return nil, errors.New("undo record: it names no Service, so there is nothing to restore; it was cut off or edited")
	}
	type object struct{ cluster, namespace, name string }
	seen := map[object]bool{}
	for n, i := range r.Items {
		at := object{i.Context + "\x00" + i.Cluster, i.Namespace, i.Name}
		if seen[at] {
			return nil, fmt.Errorf("undo record: item %d names a Service of an earlier item again", n+1)
		}
		seen[at] = true
		for key := range i.Before {
			if _, ok := i.After[key]; !ok {
				return nil, fmt.Errorf("undo record: item %d is not complete", n+1)
			}
		}
		if i.Namespace == "" || i.Name == "" || i.Cluster == "" || len(i.Before) != len(i.After) {
			return nil, fmt.Errorf("undo record: item %d is not complete", n+1)
		}
	}
	return &r, nil
}
