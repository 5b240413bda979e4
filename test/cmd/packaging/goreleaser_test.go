package main

import (
	"bytes"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/template"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// goreleaserConfig is what these tests read of .goreleaser.yaml.
type goreleaserConfig struct {
	Builds []struct {
		ID     string              `json:"id"`
		Binary string              `json:"binary"`
		Flags  []string            `json:"flags"`
		Goos   []string            `json:"goos"`
		Goarch []string            `json:"goarch"`
		Ignore []map[string]string `json:"ignore"`
		Mtime  string              `json:"mod_timestamp"`
	} `json:"builds"`
	Archives []struct {
		ID           string         `json:"id"`
		IDs          []string       `json:"ids"`
		NameTemplate string         `json:"name_template"`
		Formats      []string       `json:"formats"`
		Files        []archivedFile `json:"files"`
		BuildsInfo   fileInfo       `json:"builds_info"`
	} `json:"archives"`
	SBOMs []struct {
		Cmd       string   `json:"cmd"`
		Artifacts string   `json:"artifacts"`
		Documents []string `json:"documents"`
		Args      []string `json:"args"`
	} `json:"sboms"`
	Signs []struct {
		Cmd       string `json:"cmd"`
		Artifacts string `json:"artifacts"`
	} `json:"signs"`
	Release struct {
		Draft bool `json:"draft"`
	} `json:"release"`
}

type archivedFile struct {
	Src  string   `json:"src"`
	Info fileInfo `json:"info"`
}

type fileInfo struct {
	Owner, Group, Mtime string
	Mode                int
}

func readGoreleaser(t *testing.T) goreleaserConfig {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(repository, ".goreleaser.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var config goreleaserConfig
	if err := yaml.Unmarshal(data, &config); err != nil {
		t.Fatal(err)
	}
	return config
}

// releasedArchives works out of .goreleaser.yaml which archives a release has, by archive id.
func releasedArchives(t *testing.T, tag string) map[string][]string {
	t.Helper()
	config := readGoreleaser(t)
	released := map[string][]string{}
	for _, archive := range config.Archives {
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
					if err := name.Execute(&buf, map[string]string{"Binary": build.Binary, "Tag": tag, "Os": system, "Arch": arch}); err != nil {
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

// TestReleaseIsReproducible fails when a file could get into an archive with the time, owner or umask of the machine, or
// when a binary or SBOM could differ between two directories. `make release-check` compares the bytes.
func TestReleaseIsReproducible(t *testing.T) {
	t.Parallel()
	config := readGoreleaser(t)
	for _, build := range config.Builds {
		if diff := cmp.Diff([]string{"-trimpath", "-buildvcs=false"}, build.Flags); diff != "" {
			t.Errorf("build %s: flags (-want +got):\n%s", build.ID, diff)
		}
		if build.Mtime != "{{ .CommitTimestamp }}" {
			t.Errorf("build %s: mod_timestamp is %q", build.ID, build.Mtime)
		}
	}
	const mtime = "{{ .CommitDate }}"
	for _, archive := range config.Archives {
		if diff := cmp.Diff(fileInfo{"root", "root", mtime, 0o755}, archive.BuildsInfo); diff != "" {
			t.Errorf("archive %s: builds_info (-want +got):\n%s", archive.ID, diff)
		}
		got := map[string]fileInfo{}
		for _, f := range archive.Files {
			got[path.Base(f.Src)] = f.Info
		}
		want := map[string]fileInfo{
			"LICENSE":            {"root", "root", mtime, 0o644},
			noticesFile:          {"root", "root", mtime, 0o644},
			"kubectl_complete-*": {"root", "root", mtime, 0o755},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("archive %s: files (-want +got):\n%s", archive.ID, diff)
		}
	}
	for _, sbom := range config.SBOMs {
		for _, flag := range []string{"-noserial", "-notimestamp"} {
			if !slices.Contains(sbom.Args, flag) {
				t.Errorf("SBOM: %s is missing in %v", flag, sbom.Args)
			}
		}
	}
}

// TestReleaseIsSigned fails when an archive would have no SBOM or no signature, or would be public before a maintainer
// has looked at it.
func TestReleaseIsSigned(t *testing.T) {
	t.Parallel()
	config := readGoreleaser(t)
	if len(config.SBOMs) != 1 || len(config.Signs) != 1 {
		t.Fatalf("%d sboms and %d signs, want one of each", len(config.SBOMs), len(config.Signs))
	}
	sbom, sign := config.SBOMs[0], config.Signs[0]
	for _, archive := range config.Archives {
		// One binary per archive, so an SBOM per binary is one per archive.
		if len(archive.IDs) != 1 {
			t.Errorf("archive %s has %v, want one binary", archive.ID, archive.IDs)
		}
		if diff := cmp.Diff([]string{archive.NameTemplate + ".cdx.json"}, sbom.Documents); diff != "" {
			t.Errorf("SBOM of archive %s (-want +got):\n%s", archive.ID, diff)
		}
	}
	if sbom.Cmd != "cyclonedx-gomod" || sbom.Artifacts != "binary" {
		t.Errorf("SBOMs are made by %s for %s", sbom.Cmd, sbom.Artifacts)
	}
	if sign.Cmd != "cosign" || sign.Artifacts != "checksum" {
		t.Errorf("%s signs %s", sign.Cmd, sign.Artifacts)
	}
	if !config.Release.Draft {
		t.Error("the release is not a draft")
	}
	for _, tool := range []string{sbom.Cmd, sign.Cmd, "goreleaser"} {
		data, err := os.ReadFile(filepath.Join(repository, "tools", tool, "go.mod"))
		if err != nil || !strings.Contains(string(data), "\ntool ") {
			t.Errorf("%s is not a tool below tools/: %v", tool, err)
		}
	}
}
