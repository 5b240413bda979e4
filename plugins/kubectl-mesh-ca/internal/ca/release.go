package ca

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/owners"
)

// maxRelease limits the size of an unpacked release; a Secret has at most 1 MiB.
const maxRelease = 64 << 20

// helmRelease is the used part of Helm's release record (helm.sh/helm/v3 pkg/release).
type helmRelease struct {
	Chart struct {
		Metadata struct {
			Name    string   `json:"name"`
			Version string   `json:"version"`
			Home    string   `json:"home"`
			Sources []string `json:"sources"`
		} `json:"metadata"`
		// Values are the chart's own, which those of the release override.
		Values json.RawMessage `json:"values"`
	} `json:"chart"`
	Config  json.RawMessage `json:"config"`
	Version int             `json:"version"` // the revision
	Info    struct {
		Status string `json:"status"`
	} `json:"info"`
}

// ReadReleases reads the record of the Helm release that installed Cilium, in each cluster that has one: its chart, and whether its values contain a
// CA. Unlike everything else here it needs permission to list Secrets; without it the values are unknown. A record contains keys and is discarded.
func ReadReleases(ctx context.Context, states []*State, timeout time.Duration) {
	members := make([]*clusters.Member, len(states))
	of := map[*clusters.Member]*State{}
	for n, s := range states {
		members[n], of[s.Member] = s.Member, s
	}
	for _, r := range fanout.Each(ctx, members, timeout, func(ctx context.Context, m *clusters.Member) (struct{}, error) {
		return struct{}{}, of[m].readRelease(ctx)
	}) {
		if r.Err != nil {
			of[r.Member].Values.Note = r.Err.Err.Error()
		}
	}
}

func (s *State) readRelease(ctx context.Context) error {
	s.readDeleted(ctx)
	if !s.Release.Known() {
		return nil
	}
	list, err := s.Member.Client.CoreV1().Secrets(s.Release.Namespace).List(ctx, metav1.ListOptions{LabelSelector: "owner=helm,status=deployed,name=" + s.Release.Name})
	switch {
	case apierrors.IsForbidden(err):
		return errors.New("no permission to list secrets in namespace " + s.Release.Namespace)
	case err != nil:
		return err
	}
	var latest *corev1.Secret
	for i, item := range list.Items {
		if item.Type == "helm.sh/release.v1" && (latest == nil || latest.CreationTimestamp.Before(&item.CreationTimestamp)) {
			latest = &list.Items[i]
		}
	}
	if latest == nil {
		return errors.New("its record was not found")
	}
	record, err := decodeRelease(latest.Data["release"])
	if err != nil {
		return errors.New("its record cannot be parsed") // an error could quote its content
	}
	s.take(record)
	return nil
}

// take stores the facts of a release record, without its keys.
func (s *State) take(record helmRelease) {
	m := record.Chart.Metadata
	if m.Name != "" {
		s.Chart.Name, s.Chart.Version, s.Chart.Mark = m.Name, m.Version, "the record of release "+s.Release.Name
		s.Chart.Controller = s.Chart.Controller || owners.IsRKE2Chart(m.Name)
		ours := strings.Contains(m.Home, "cilium.io")
		for _, source := range m.Sources {
			ours = ours || strings.TrimSuffix(source, "/") == "https://github.com/cilium/cilium"
		}
		s.Chart.Official = m.Name == owners.OfficialChart && ours && !s.Chart.Controller
	}
	s.Values = record.values()
}

// decodeRelease unpacks Helm's release record: base64 of gzip of JSON, or of JSON alone in old releases.
func decodeRelease(data []byte) (helmRelease, error) {
	var out helmRelease
	raw, err := base64.StdEncoding.DecodeString(string(data))
	if err != nil {
		return out, err
	}
	if bytes.HasPrefix(raw, []byte{0x1f, 0x8b}) {
		zipped, err := gzip.NewReader(bytes.NewReader(raw))
		if err != nil {
			return out, err
		}
		if raw, err = io.ReadAll(io.LimitReader(zipped, maxRelease)); err != nil {
			return out, err
		}
	}
	return out, json.Unmarshal(raw, &out)
}

// undoes says which of the release's values would write a CA other than the given file at the next upgrade, "" if none.
func (s *State) undoes(cert []byte) string {
	switch {
	case !s.Release.Known():
		return ""
	case !s.Values.Known:
		return fmt.Sprintf("cannot read the values of release %s (%s): if they set tls.ca.cert and tls.ca.key, the next upgrade writes that CA again", s.Release.Name, cmp.Or(s.Values.Note, "not read"))
	case !s.Values.SetsCA, bytes.Equal(bytes.TrimSpace(s.Values.Cert), bytes.TrimSpace(cert)):
		return ""
	}
	return fmt.Sprintf("the values of release %s set %stls.ca.cert and %stls.ca.key: the next upgrade writes that CA again; remove both from the values", s.Release.Name, s.Values.Prefix, s.Values.Prefix)
}
