package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

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

// TestTemplatesAndReleaseAgree fails when a release has archives under other names, or for other platforms, than the krew
// templates ask for.
func TestTemplatesAndReleaseAgree(t *testing.T) {
	t.Parallel()
	const tag = "v1.2.3"
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
				return asset{uri: url, sha256: strings.Repeat("f", 64)}, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			var released []string
			for _, on := range platforms() {
				released = append(released, p.archive(tag, on))
			}
			if diff := cmp.Diff(released, asked); diff != "" {
				t.Errorf("archives (-release +krew):\n%s", diff)
			}

			var doc manifestYAML
			if err := yaml.UnmarshalStrict(manifest, &doc); err != nil {
				t.Fatal(err)
			}
			var offered []platform
			for _, entry := range doc.Spec.Platforms {
				on := platform(entry.Selector.MatchLabels)
				offered = append(offered, on)
				if got, want := entry.Bin, p.binary(on); got != want {
					t.Errorf("%s: bin is %v, want %s", on, got, want)
				}
				if want := "/" + p.archive(tag, on); !strings.HasSuffix(entry.URI, want) {
					t.Errorf("%s: uri is %s, want one that ends with %s", on, entry.URI, want)
				}
				var installed []string
				for _, f := range entry.Files {
					installed = append(installed, f.From)
				}
				slices.Sort(installed)
				if diff := cmp.Diff([]string{licenseName, noticesFile, p.binary(on)}, installed); diff != "" {
					t.Errorf("%s: files that krew installs (-want +got):\n%s", on, diff)
				}
			}
			if diff := cmp.Diff(platforms(), offered); diff != "" {
				t.Errorf("platforms (-release +krew):\n%s", diff)
			}
			// krew's reviewers refuse more; validate-krew-manifest does not look.
			if short := doc.Spec.ShortDescription; short == "" || len(short) > 50 {
				t.Errorf("shortDescription %q has %d characters, want 1 to 50", short, len(short))
			}
		})
	}
}

// manifestYAML is a krew manifest, strictly: a field that is not named here is an error.
type manifestYAML struct {
	APIVersion string         `json:"apiVersion"`
	Kind       string         `json:"kind"`
	Metadata   map[string]any `json:"metadata"`
	Spec       struct {
		Version          string `json:"version"`
		Homepage         string `json:"homepage"`
		ShortDescription string `json:"shortDescription"`
		Description      string `json:"description"`
		Caveats          string `json:"caveats"`
		Platforms        []struct {
			Selector struct {
				MatchLabels struct{ OS, Arch string } `json:"matchLabels"`
			} `json:"selector"`
			URI    string                      `json:"uri"`
			SHA256 string                      `json:"sha256"`
			Bin    string                      `json:"bin"`
			Files  []struct{ From, To string } `json:"files"`
		} `json:"platforms"`
	} `json:"spec"`
}
