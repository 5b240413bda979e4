package documents

import (
	"strings"
	"testing"
)

const envelope = `"apiVersion":"mesh.kubectl.io/v1alpha1","complete":true,"members":[],"findings":[]`

func TestErrors(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text string
		want []string // in the errors, in order
	}{
		"nothing":               {"", nil},
		"a table":               {"NAME  READY\nweb   3\n", nil},
		"another object":        {`{"apiVersion":"v1","kind":"Pod","x":1}`, nil},
		"an undo record":        {`{"apiVersion":"mesh.kubectl.io/v1alpha1","kind":"UndoRecord","items":null}`, nil},
		"a document":            {`{` + envelope + `,"kind":"ServiceList","services":[]}`, nil},
		"one after other lines": {"note\n{" + envelope + `,"kind":"ServiceList","services":[],"x":1}` + "\n", []string{"'x'"}},
		"a further field":       {`{` + envelope + `,"kind":"ServiceList","services":[{"namespace":"a","name":"b","clusters":[],"new":1}]}`, []string{"'new'"}},
		"a missing field":       {`{` + envelope + `,"kind":"ServiceList"}`, []string{"'services'"}},
		"null for a list":       {`{` + envelope + `,"kind":"ServiceList","services":null}`, []string{"got null, want array"}},
		"a number for a string": {`{` + envelope + `,"kind":"ServiceList","services":[{"namespace":1,"name":"b","clusters":[]}]}`, []string{"got number, want string"}},
		"a time that is none":   {`{` + envelope + `,"kind":"CACheckReport","asOf":"today","certificates":[],"trust":[]}`, []string{"is not valid date-time"}},
		"an unknown kind":       {`{` + envelope + `,"kind":"Nonsense"}`, []string{`"Nonsense", which has no schema`}},
		"two documents":         {`{` + envelope + `,"kind":"ServiceList"}` + "\n{\n" + envelope + `,"kind":"ClusterList"}`, []string{"'services'", "'clusters'"}},
		"a null that is a value": {`{` + envelope + `,"kind":"ChangeReport","action":"share","dryRun":"none","changes":[{"cluster":"us","object":"service/a","result":"changed","before":{"a":null}}]}`,
			nil},
		"YAML": {"action: share\napiVersion: mesh.kubectl.io/v1alpha1\nkind: ChangeReport\n", []string{"missing properties"}},
		"a stream of YAML": {"apiVersion: mesh.kubectl.io/v1alpha1\nkind: ServiceList\ncomplete: true\nmembers: []\nfindings: []\nservices: []\n---\nx: 1\n" +
			"apiVersion: mesh.kubectl.io/v1alpha1\nkind: ServiceList\ncomplete: true\nmembers: []\nfindings: []\nservices: []\n", []string{"'x'"}},
		"a request":        {`{"client":"us","startTime":"2026-11-30T05:00:00.123Z","durationMs":1.5}`, nil},
		"a false request":  {`{"client":"us","startTime":"2026-11-30T05:00:00Z","durationMs":"1"}`, []string{"got string, want number"}},
		"a line":           {`{"mark":{"time":"2026-11-30T05:00:00Z","text":"a"}}`, nil},
		"a false line":     {`{"mark":{"time":"2026-11-30T05:00:00Z"}}`, []string{"'text'"}},
		"JSON that is cut": {`{` + envelope + `,"kind":"Serv`, nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := Errors(tc.text)
			if len(got) != len(tc.want) {
				t.Fatalf("%d errors, want %d: %v", len(got), len(tc.want), got)
			}
			for i, want := range tc.want {
				if !strings.Contains(got[i].Error(), want) {
					t.Errorf("no %q in: %v", want, got[i])
				}
			}
		})
	}
}
