package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"text/template"

	"sigs.k8s.io/yaml"
)

// plugin is one of the three, by its krew name (mesh-svc).
type plugin string

// plugins are all that we release.
func plugins() []plugin { return []plugin{"mesh-svc", "mesh-ca", "mesh-probe"} }

// binary is the file that kubectl looks for: the dash of the name becomes an underscore.
func (p plugin) binary(on platform) string {
	name := "kubectl-" + strings.ReplaceAll(string(p), "-", "_")
	if on.OS == "windows" {
		name += ".exe"
	}
	return name
}

// archive is the name of the file that a release offers for a platform.
func (p plugin) archive(tag string, on platform) string {
	return fmt.Sprintf("kubectl-%s_%s_%s_%s.tar.gz", strings.ReplaceAll(string(p), "-", "_"), tag, on.OS, on.Arch)
}

// platform is what Go and krew both call os and arch.
type platform struct{ OS, Arch string }

func (p platform) String() string { return p.OS + "/" + p.Arch }

// asset is where an archive can be had, and its checksum.
type asset struct{ uri, sha256 string }

// render fills in a template as krew-release-bot does (v0.0.51, pkg/source/template.go):
// {{ .TagName }} everywhere, and addURIAndSha, which renders the URL once more and
// writes two lines, the second of them indented by four.
func render(text []byte, tag string, lookUp func(url string) (asset, error)) ([]byte, error) {
	type values struct{ TagName string }
	fill := func(t *template.Template, text, tag string) (string, error) {
		parsed, err := t.Option("missingkey=error").Parse(text)
		if err != nil {
			return "", err
		}
		var buf bytes.Buffer
		err = parsed.Execute(&buf, values{TagName: tag})
		return buf.String(), err
	}
	addURIAndSha := func(text, tag string) (string, error) {
		url, err := fill(template.New("url"), text, tag)
		if err != nil {
			return "", err
		}
		found, err := lookUp(url)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("uri: %s\n    sha256: %s", found.uri, found.sha256), nil
	}
	manifest, err := fill(template.New("manifest").Funcs(template.FuncMap{"addURIAndSha": addURIAndSha}), string(text), tag)
	return []byte(manifest), err
}

// keepPlatforms returns the manifest without the platforms that are not named.
func keepPlatforms(manifest []byte, keep []platform) ([]byte, error) {
	doc, err := parseManifest(manifest)
	if err != nil {
		return nil, err
	}
	var kept []any
	for _, entry := range doc.entries {
		if slices.Contains(keep, entry.platform) {
			kept = append(kept, entry.raw)
		}
	}
	if len(kept) == 0 {
		return nil, fmt.Errorf("the manifest offers none of the platforms that were built: %v", keep)
	}
	doc.spec["platforms"] = kept
	return yaml.Marshal(doc.root)
}

// manifestDoc is a manifest as it was read; root holds spec, spec holds the entries.
type manifestDoc struct {
	root, spec map[string]any
	entries    []manifestEntry
}

type manifestEntry struct {
	platform platform
	raw      any
}

func parseManifest(manifest []byte) (manifestDoc, error) {
	var doc manifestDoc
	var typed struct {
		Spec struct {
			Platforms []struct {
				Selector struct {
					MatchLabels struct{ OS, Arch string }
				}
			}
		}
	}
	if err := yaml.UnmarshalStrict(manifest, &doc.root); err != nil {
		return doc, err
	}
	if err := yaml.Unmarshal(manifest, &typed); err != nil {
		return doc, err
	}
	doc.spec, _ = doc.root["spec"].(map[string]any)
	list, _ := doc.spec["platforms"].([]any)
	if len(list) == 0 {
		return doc, fmt.Errorf("spec.platforms is empty")
	}
	for i, raw := range list {
		labels := typed.Spec.Platforms[i].Selector.MatchLabels
		if labels.OS == "" || labels.Arch == "" {
			return doc, fmt.Errorf("spec.platforms[%d]: selector.matchLabels needs os and arch", i)
		}
		doc.entries = append(doc.entries, manifestEntry{platform: platform(labels), raw: raw})
	}
	return doc, nil
}
