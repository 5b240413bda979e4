package main

import (
	"bytes"
	"fmt"
	"strings"
	"text/template"
)

// plugin is one of the three, by its krew name (mesh-svc).
type plugin string

// plugins are all that we release.
func plugins() []plugin { return []plugin{"mesh-svc", "mesh-ca", "mesh-probe"} }

// binary is the file that kubectl runs on a platform.
func (p plugin) binary(on platform) string {
	if on.OS == windows {
		return p.command() + ".exe"
	}
	return p.command()
}

// archive is the name of the file that a release offers for a platform.
func (p plugin) archive(tag string, on platform) string {
	return fmt.Sprintf("%s_%s_%s_%s.tar.gz", p.command(), tag, on.OS, on.Arch)
}

// sbom is the name of the SBOM of an archive.
func (p plugin) sbom(tag string, on platform) string {
	return strings.TrimSuffix(p.archive(tag, on), ".tar.gz") + ".cdx.json"
}

const windows = "windows"

// platform is what Go and krew both call os and arch.
type platform struct{ OS, Arch string }

// platforms are all that we release for.
func platforms() []platform {
	return []platform{{"darwin", "amd64"}, {"darwin", "arm64"}, {"linux", "amd64"}, {"linux", "arm64"}, {windows, "amd64"}}
}

func (p platform) String() string { return p.OS + "/" + p.Arch }

// asset is where an archive can be had, and its checksum.
type asset struct{ uri, sha256 string }

// render fills in a template as krew-release-bot does (v0.0.51, pkg/source/template.go):
// {{ .TagName }} everywhere, and addURIAndSha, which renders the URL once more and
// writes two lines, the second of them indented by four.
func render(text []byte, tag string, lookUp func(url string) (asset, error)) ([]byte, error) {
	type values struct{ TagName string }
	fill := func(t *template.Template, text, tag string) (string, error) {
		parsed, err := t.Option("missingkey=error").Parse(text) //nolint:gosec // a template of this repository
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
