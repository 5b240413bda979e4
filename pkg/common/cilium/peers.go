package cilium

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// endpointsText is the text by which agents and KVStoreMesh tell an etcd configuration from any other file.
const endpointsText = "endpoints:"

// SkippedPeer is an entry of Secret cilium-clustermesh that looks like the configuration of a peer and that Cilium skips.
type SkippedPeer struct {
	// Entry is the key of the Secret.
	Entry string
	// Reason is why Cilium skips it, such as "the text endpoints: is not in it".
	Reason string
	// NameRule says that the reason is the rule for the names of clusters, which agents before 1.17 do not apply.
	NameRule bool
}

// Peer is the name of the cluster that the entry seems to be meant for: the key without the suffix of a file name.
func (s SkippedPeer) Peer() string {
	name, _, _ := strings.Cut(s.Entry, ".")
	return name
}

// PeersFromSecret lists the clusters that Secret cilium-clustermesh configures, sorted, without the cluster's own name, and
// the entries that look like a peer's configuration and that Cilium skips. An entry is a configuration if the text
// "endpoints:" is anywhere in it, in a comment too; how it parses does not matter. Its name must be one that a cluster can have
// in version v: from 1.17 on Cilium does not connect to another one. An unknown version counts as a new one.
// Source: isEtcdConfigFile in pkg/clustermesh/common/config.go (1.16.19, 1.18.11, 1.19.5 and 1.20.2, read), add in
// pkg/clustermesh/common/clustermesh.go (1.20.2, read).
func PeersFromSecret(data map[string][]byte, own string, v Version) (peers []string, skipped []SkippedPeer) {
	for name, value := range data {
		if name == own { // Cilium skips it too; values that all clusters share name each of them
			continue
		}
		if !bytes.Contains(value, []byte(endpointsText)) {
			if reason := whyNoConfig(name, value); reason != "" {
				skipped = append(skipped, SkippedPeer{Entry: name, Reason: reason})
			}
			continue
		}
		if problem, refused := NameProblem(name, 0, v); problem != "" && (refused || !v.Known()) {
			skipped = append(skipped, SkippedPeer{Entry: name, Reason: "its name is not a valid cluster name: " + problem, NameRule: true})
			continue
		}
		peers = append(peers, name)
	}
	slices.Sort(peers)
	slices.SortFunc(skipped, func(a, b SkippedPeer) int { return strings.Compare(a.Entry, b.Entry) })
	return peers, skipped
}

// ApplyVersion returns what PeersFromSecret says for a version that was not known when it was asked.
func ApplyVersion(peers []string, skipped []SkippedPeer, v Version) ([]string, []SkippedPeer) {
	var left []SkippedPeer
	for _, s := range skipped {
		if _, refused := NameProblem(s.Entry, 0, v); s.NameRule && v.Known() && !refused {
			peers = append(slices.Clone(peers), s.Entry)
			continue
		}
		left = append(left, s)
	}
	slices.Sort(peers)
	return peers, left
}

// etcdOption finds a setting of an etcd client's configuration at the beginning of a line or after a brace, however it is quoted.
var etcdOption = regexp.MustCompile(`(?i)(?:^|[\n{,])[\t ]*["']?(?:endpoints?|trusted-ca-file|cert-file|key-file)["']?[\t ]*[:=]`)

// whyNoConfig says why an entry without the text of a configuration is skipped, "" if it does not look like a configuration at
// all, as the files of certificates do not.
func whyNoConfig(name string, value []byte) string {
	text := bytes.TrimSpace(value)
	switch {
	case bytes.Contains(text, []byte("-----BEGIN ")):
		return ""
	case len(text) == 0:
		// Other files have a suffix.
		if problem, _ := NameProblem(name, 0, Version{}); problem == "" {
			return "it is empty"
		}
		return ""
	case bytes.IndexByte(text, 0) >= 0:
		if bytes.Contains(bytes.ReplaceAll(text, []byte{0}, nil), []byte(endpointsText)) {
			return noText + ": it is UTF-16, and Cilium reads UTF-8"
		}
		return ""
	case etcdOption.Match(text):
		return noText + quotedKey(text)
	}
	if inner, err := base64.StdEncoding.DecodeString(string(text)); err == nil && bytes.Contains(inner, []byte("endpoints")) {
		return noText + ": it is base64-encoded twice"
	}
	return ""
}

const noText = "the text " + endpointsText + " is not in it"

// quotedKey says how the key of the endpoints is written in a configuration whose text Cilium does not find.
func quotedKey(text []byte) string {
	var doc map[string]any
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return ""
	}
	for key := range doc {
		switch {
		case key == "endpoints" && bytes.Contains(text, []byte(`"endpoints"`)), key == "endpoints" && bytes.Contains(text, []byte(`'endpoints'`)):
			return " (the key is quoted)"
		case key == "endpoints":
			return " (there is a blank before the colon)"
		case strings.EqualFold(key, "endpoints"), strings.EqualFold(key, "endpoint"):
			return fmt.Sprintf(" (the key is %s)", key)
		}
	}
	return " (it has no endpoints)"
}
