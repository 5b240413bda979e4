package live

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
)

// listing prints the certificate files of an agent. Only certificates leave the pod, also if a file contains a key. The kubelet replaces the link ..data whenever it
// publishes new content: its change time is when the files became visible.
const listing = `cd ` + pki.DirClusterMesh + ` || exit 1
for f in *.crt; do
  [ -e "$f" ] || continue
  echo "FILE $f"
  stat -L -c 'WRITTEN %y' "$f"
  if [ -L ..data ]; then stat -c 'WRITTEN %z' ..data; fi
  sed -n "/-----BEGIN CERTIFICATE-----/,/-----END CERTIFICATE-----/p" "$f"
  echo
done
echo END`

// Files implements Observer.
func (c *Cluster) Files(ctx context.Context, m *clusters.Member) ([]File, error) {
	pods, err := c.pods(ctx, m, SelectAgents, cilium.ContainerAgent)
	if err != nil {
		return nil, err
	}
	return each(ctx, pods, func(p *corev1.Pod) ([]File, error) {
		base := File{Node: p.Spec.NodeName, Pod: p.Name}
		if started(p, cilium.ContainerAgent).IsZero() {
			base.Unknown = notRunning
			return []File{base}, nil
		}
		out, err := c.exec(ctx, m, p, cilium.ContainerAgent, "sh", "-c", listing)
		files, problem := parseListing(base, string(out))
		if failed := cmp.Or(err, problem); failed != nil {
			base.Unknown = failed.Error()
			files = []File{base}
		}
		return files, missing(err)
	})
}

// parseListing reads what listing prints.
func parseListing(base File, out string) ([]File, error) {
	var files []File
	var text strings.Builder
	ended := false
	finish := func() {
		if len(files) == 0 {
			return
		}
		f := &files[len(files)-1]
		certs, err := pki.ParseCertificates([]byte(text.String()))
		text.Reset()
		if err != nil {
			f.Unknown = err.Error()
			return
		}
		f.Certs = certs
	}
	for line := range strings.Lines(out) {
		line = strings.TrimRight(line, "\n")
		name, isFile := strings.CutPrefix(line, "FILE ")
		stamp, isStamp := strings.CutPrefix(line, "WRITTEN ")
		switch {
		case line == "END":
			ended = true
		case isFile:
			finish()
			f := base
			f.Path = pki.DirClusterMesh + "/" + name
			files = append(files, f)
		case isStamp && len(files) > 0:
			at, err := writtenAt(stamp)
			if err != nil {
				return nil, err
			}
			if f := &files[len(files)-1]; at.After(f.Written) {
				f.Written = at
			}
		case len(files) > 0:
			text.WriteString(line + "\n")
		}
	}
	finish()
	if !ended {
		return nil, fmt.Errorf("the list of files in %s is cut", pki.DirClusterMesh)
	}
	return files, nil
}

// writtenAt parses a time as stat prints it: GNU with nanoseconds, busybox and some file systems with whole seconds, which it rounds up.
func writtenAt(s string) (time.Time, error) {
	t, err := time.Parse("2006-01-02 15:04:05.999999999 -0700", s)
	if err != nil {
		return time.Time{}, fmt.Errorf("stat does not print a time: %q", s)
	}
	if t.Nanosecond() == 0 {
		t = t.Add(time.Second)
	}
	return t.UTC(), nil
}

func sortedKeys[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }
