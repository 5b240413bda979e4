// Package schema holds a JSON Schema (draft 2020-12) for each document of v1alpha1. The files are generated from the Go types and their comments.
//
// The schemas say what a document of this version has. They allow further fields, because a later version may add some.
package schema

//go:generate go run ../../../../test/cmd/schema

import (
	"embed"
	"encoding/json"
	"fmt"
	"strings"
)

// Each plugin links only its own schemas.
var (
	//go:embed ChangeReport.json ClusterList.json DrainReport.json FindingList.json MeshGraph.json ServiceList.json ServiceReport.json
	meshSvc embed.FS
	//go:embed CABackupList.json CABackupReport.json CAChangeReport.json CACheckReport.json CAReport.json FederationReport.json RotationReport.json
	meshCA embed.FS
	//go:embed DrillReport.json ProbeCleanupReport.json ProbeComparison.json ProbeRecordLine.json ProbeReport.json ProbeRequest.json
	meshProbe embed.FS
)

// Set has the schemas of one plugin.
type Set struct{ files embed.FS }

// MeshSvc has the schemas of the documents of kubectl mesh-svc.
func MeshSvc() Set { return Set{meshSvc} }

// MeshCA has the schemas of the documents of kubectl mesh-ca.
func MeshCA() Set { return Set{meshCA} }

// MeshProbe has the schemas of the documents of kubectl mesh-probe.
func MeshProbe() Set { return Set{meshProbe} }

// Kinds lists the kinds that have a schema, sorted.
func (s Set) Kinds() []string {
	entries, _ := s.files.ReadDir(".") // the root of an embed.FS can always be read
	kinds := make([]string, 0, len(entries))
	for _, e := range entries {
		kinds = append(kinds, strings.TrimSuffix(e.Name(), ".json"))
	}
	return kinds
}

// Of returns the schema of a kind.
func (s Set) Of(kind string) ([]byte, error) {
	raw, err := s.files.ReadFile(kind + ".json")
	if err != nil {
		return nil, fmt.Errorf("unknown kind %q; must be one of: %s", kind, strings.Join(s.Kinds(), ", "))
	}
	return raw, nil
}

// Summary returns what a kind is, as one sentence without a full stop.
func (s Set) Summary(kind string) (string, error) {
	raw, err := s.Of(kind)
	if err != nil {
		return "", err
	}
	var doc struct{ Description string }
	if err := json.Unmarshal(raw, &doc); err != nil {
		return "", fmt.Errorf("schema of %s: %w", kind, err)
	}
	first, _, _ := strings.Cut(doc.Description, ". ")
	return strings.TrimSuffix(first, "."), nil
}
