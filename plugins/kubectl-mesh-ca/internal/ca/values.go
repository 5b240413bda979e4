package ca

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium/pki"
)

// Values holds the settings for certificates in the values of a Helm release. No private key is among them.
type Values struct {
	// Known: the values were read; otherwise Note says why not.
	Known bool
	Note  string
	// SetsCA: tls.ca.cert and tls.ca.key are set, so every upgrade writes that CA. Cert is tls.ca.cert. Prefix is where they are in the values of a
	// chart that contains Cilium's, such as "cilium.".
	SetsCA bool
	Prefix string
	Cert   []byte
	// Bundle is tls.caBundle.content, with which every upgrade writes the trust bundle again; BundleName is the object that it is written to.
	Bundle     []byte
	BundleName string
	// Validity holds the days that a family's leaf certificates are valid, where a person set them (tls.auto.certValidityDuration).
	Validity map[pki.Family]int
	// Removed are values that are set and that charts from 1.20 reject, such as clustermesh.apiserver.tls.server.cert.
	Removed []string
	// PeerCopies are the peers whose certificates the values contain (clustermesh.config.clusters[].tls), sorted.
	PeerCopies []string
}

// tree is a level of Helm values.
type tree map[string]any

// merge returns the values with those of a person over them: a null removes, an object is merged, anything else replaces (Helm's rule).
func (t tree) merge(over tree) tree {
	out := maps.Clone(t)
	if out == nil {
		out = tree{}
	}
	for k, v := range over {
		below, both := out.at(k), tree{}.with(k, v).at(k)
		switch {
		case v == nil:
			delete(out, k)
		case below != nil && both != nil:
			out[k] = map[string]any(below.merge(both))
		default:
			out[k] = v
		}
	}
	return out
}

func (t tree) with(k string, v any) tree {
	t[k] = v
	return t
}

// at returns the level below a key, nil if there is none.
func (t tree) at(keys ...string) tree {
	for _, k := range keys {
		level, ok := t[k].(map[string]any)
		if !ok {
			return nil
		}
		t = level
	}
	return t
}

// text returns a string value, "" if there is none.
func (t tree) text(keys ...string) string {
	last := len(keys) - 1
	s, _ := t.at(keys[:last]...)[keys[last]].(string)
	return s
}

// decode reads values; values that are not an object set nothing.
func decodeValues(raw json.RawMessage) tree {
	var t tree
	if json.Unmarshal(raw, &t) != nil {
		return nil
	}
	return t
}

// values returns the settings for certificates of a release: those of the chart, and those of a person over them.
func (r helmRelease) values() Values {
	user := decodeValues(r.Config)
	all := decodeValues(r.Chart.Values).merge(user)
	v := Values{Known: true, Prefix: prefixOf(all)}
	mine, theirs := all, user
	if key := strings.TrimSuffix(v.Prefix, "."); key != "" {
		mine, theirs = all.at(key), user.at(key)
	}
	if cert, key := mine.text("tls", "ca", "cert"), mine.text("tls", "ca", "key"); cert != "" && key != "" {
		v.SetsCA = true
		// The values hold base64; the chart decodes them (templates/_helpers.tpl, cilium.ca.setup).
		v.Cert, _ = base64.StdEncoding.DecodeString(cert)
	}
	bundle := mine.at("tls", "caBundle")
	if on, _ := bundle["enabled"].(bool); on && bundle.text("content") != "" {
		v.Bundle, v.BundleName = []byte(bundle.text("content")), bundle.text("name")
	}
	v.Validity = map[pki.Family]int{}
	for family, at := range map[pki.Family][]string{pki.FamilyMesh: {"clustermesh", "apiserver", "tls", "auto"}, pki.FamilyHubble: {"hubble", "tls", "auto"}} {
		if days, ok := theirs.at(at...)["certValidityDuration"].(float64); ok && days > 0 {
			v.Validity[family] = int(days)
		}
	}
	v.Removed = removed(mine.at("clustermesh", "apiserver", "tls"))
	v.PeerCopies = peerCopies(mine.at("clustermesh", "config")["clusters"])
	return v
}

// removed lists the values with certificates that chart 1.20 rejects: if it does not make the certificates itself, it accepts only Secrets.
// Source: templates/validate.yaml (1.20.2, read).
func removed(tls tree) []string {
	if auto, ok := tls.at("auto")["enabled"].(bool); !ok || auto {
		return nil
	}
	var out []string
	for _, leaf := range []string{"server", "admin", "remote"} {
		if tls.text(leaf, "cert") != "" {
			out = append(out, "clustermesh.apiserver.tls."+leaf+".cert")
		}
	}
	return out
}

// peerCopies lists the peers with certificates of their own in clustermesh.config.clusters, which is a list, or an object by name.
func peerCopies(clusters any) []string {
	named := map[string]any{}
	switch c := clusters.(type) {
	case map[string]any:
		named = c
	case []any:
		for _, one := range c {
			if entry, ok := one.(map[string]any); ok {
				named[tree(entry).text("name")] = entry
			}
		}
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(named)) {
		if entry, ok := named[name].(map[string]any); ok && tree(entry).text("tls", "cert") != "" {
			out = append(out, name)
		}
	}
	return out
}

// prefixOf returns where the values of Cilium's chart are: a chart may have it as a part, whose values then have a key of their own.
func prefixOf(all tree) string {
	complete := func(t tree) bool { return t.text("tls", "ca", "cert") != "" && t.text("tls", "ca", "key") != "" }
	cilium := func(t tree) bool {
		return t.at("clustermesh") != nil || t.at("tls", "caBundle") != nil || t.at("hubble") != nil
	}
	for _, is := range []func(tree) bool{complete, cilium} {
		if is(all) {
			return ""
		}
		for _, name := range slices.Sorted(maps.Keys(all)) {
			if part := all.at(name); part != nil && is(part) {
				return name + "."
			}
		}
	}
	return ""
}
