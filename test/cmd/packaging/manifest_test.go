package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/template"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

const repository = "../../.."

func TestRender(t *testing.T) {
	t.Parallel()
	lookUp := func(url string) (asset, error) {
		if !strings.HasSuffix(url, "v1.2.3.tar.gz") {
			return asset{}, errors.New("no such archive")
		}
		return asset{uri: url, sha256: "abc"}, nil
	}
	tests := map[string]struct {
		template, want, wantErr string
	}{
		"tag": {
			template: "version: {{ .TagName }}\n",
			want:     "version: v1.2.3\n",
		},
		"uri and checksum, indented as krew-release-bot does": {
			template: "  - selector: x\n    {{addURIAndSha \"https://x/{{ .TagName }}/a_{{ .TagName }}.tar.gz\" .TagName }}\n    bin: a\n",
			want:     "  - selector: x\n    uri: https://x/v1.2.3/a_v1.2.3.tar.gz\n    sha256: abc\n    bin: a\n",
		},
		"archive that was not released": {
			template: `{{addURIAndSha "https://x/a_{{ .TagName }}.zip" .TagName }}`,
			wantErr:  "no such archive",
		},
		"unknown value": {
			template: "{{ .Version }}",
			wantErr:  "can't evaluate field Version",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := render([]byte(test.template), "v1.2.3", lookUp)
			if test.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), test.wantErr) {
					t.Fatalf("error = %v, want one with %q", err, test.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, string(got)); diff != "" {
				t.Errorf("rendered (-want +got):\n%s", diff)
			}
		})
	}
}

func TestKeepPlatforms(t *testing.T) {
	t.Parallel()
	const manifest = `
metadata: {name: x}
spec:
  platforms:
  - {selector: {matchLabels: {os: linux, arch: amd64}}, bin: a}
  - {selector: {matchLabels: {os: darwin, arch: arm64}}, bin: b}
`
	got, err := keepPlatforms([]byte(manifest), []platform{{"darwin", "arm64"}, {"linux", "riscv64"}})
	if err != nil {
		t.Fatal(err)
	}
	want := "metadata:\n  name: x\nspec:\n  platforms:\n  - bin: b\n    selector:\n      matchLabels:\n        arch: arm64\n        os: darwin\n"
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("manifest (-want +got):\n%s", diff)
	}
	for name, keep := range map[string][]platform{"none of them": {{"windows", "amd64"}}, "nothing": nil} {
		if got, err := keepPlatforms([]byte(manifest), keep); err == nil {
			t.Errorf("%s: no error but %s", name, got)
		}
	}
}

// TestTemplatesAndReleaseAgree fails when goreleaser would upload archives under
// other names, or for other platforms, than the krew templates ask for.
func TestTemplatesAndReleaseAgree(t *testing.T) {
	t.Parallel()
	const tag = "v1.2.3"
	released := releasedArchives(t, tag)
	for _, p := range plugins() {
		t.Run(string(p), func(t *testing.T) {
			t.Parallel()
			var asked []string
			text, err := os.ReadFile(filepath.Join(repository, "krew", string(p)+".yaml"))
			if err != nil {
				t.Fatal(err)
			}
			manifest, err := render(text, tag, func(url string) (asset, error) {
				prefix := "https://github.com/kubectl-mesh/kubectl-mesh/releases/download/" + tag + "/"
				name, ok := strings.CutPrefix(url, prefix)
				if !ok {
					return asset{}, fmt.Errorf("%s is not below %s", url, prefix)
				}
				asked = append(asked, name)
				return asset{uri: url, sha256: notBuilt}, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(asked)
			if diff := cmp.Diff(released[string(p)], asked); diff != "" {
				t.Errorf("archives (-goreleaser +krew):\n%s", diff)
			}

			doc, err := parseManifest(manifest)
			if err != nil {
				t.Fatal(err)
			}
			var packed []string
			for _, entry := range doc.entries {
				packed = append(packed, p.archive(tag, entry.platform))
				fields, _ := entry.raw.(map[string]any)
				if got, want := fields["bin"], p.binary(entry.platform); got != want {
					t.Errorf("%s: bin is %v, want %s", entry.platform, got, want)
				}
			}
			slices.Sort(packed)
			if diff := cmp.Diff(asked, packed); diff != "" {
				t.Errorf("archives (-krew +krew-check):\n%s", diff)
			}
			// krew's reviewers refuse more; validate-krew-manifest does not look.
			if short, _ := doc.spec["shortDescription"].(string); short == "" || len(short) > 50 {
				t.Errorf("shortDescription %q has %d characters, want 1 to 50", short, len(short))
			}
		})
	}
}

// releasedArchives works out of .goreleaser.yaml what a release has, by archive id.
func releasedArchives(t *testing.T, tag string) map[string][]string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(repository, ".goreleaser.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Builds []struct {
			ID     string              `json:"id"`
			Binary string              `json:"binary"`
			Goos   []string            `json:"goos"`
			Goarch []string            `json:"goarch"`
			Ignore []map[string]string `json:"ignore"`
		} `json:"builds"`
		Archives []struct {
			ID           string   `json:"id"`
			IDs          []string `json:"ids"`
			NameTemplate string   `json:"name_template"`
			Formats      []string `json:"formats"`
			Files        []string `json:"files"`
		} `json:"archives"`
	}
	if err := yaml.Unmarshal(data, &config); err != nil {
		t.Fatal(err)
	}
	released := map[string][]string{}
	for _, archive := range config.Archives {
		if diff := cmp.Diff([]string{"LICENSE"}, archive.Files); diff != "" {
			t.Errorf("archive %s: files (-want +got):\n%s", archive.ID, diff)
		}
		name := template.Must(template.New(archive.ID).Parse(archive.NameTemplate))
		for _, build := range config.Builds {
			if !slices.Contains(archive.IDs, build.ID) {
				continue
			}
			for _, system := range build.Goos {
				for _, arch := range build.Goarch {
					if slices.ContainsFunc(build.Ignore, func(i map[string]string) bool { return i["goos"] == system && i["goarch"] == arch }) {
						continue
					}
					var buf bytes.Buffer
					if err := name.Execute(&buf, map[string]string{"Tag": tag, "Os": system, "Arch": arch}); err != nil {
						t.Fatal(err)
					}
					released[archive.ID] = append(released[archive.ID], buf.String()+"."+archive.Formats[0])
				}
			}
		}
		slices.Sort(released[archive.ID])
	}
	return released
}
