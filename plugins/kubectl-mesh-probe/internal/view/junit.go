package view

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/junit"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
)

// JUnit writes one test for each check of each client, and one for each client that says whether its run is complete. An inconclusive check is an
// error, because it was not decided: CI must not count it as passed.
func JUnit(w io.Writer, r v1alpha1.ProbeReport) error {
	called := urls(r)
	if len(called) == 0 {
		called = []string{r.Target.URL}
	}
	out := junit.Suite{Name: "kubectl mesh-probe " + junit.Text(strings.Join(called, " "))}
	for i, c := range r.Clients {
		out.Cases = append(out.Cases, completeCase(from(c), c.Complete, c.Reason, table(r, i)))
	}
	for _, k := range r.Checks {
		out.Cases = append(out.Cases, checkCase(k))
	}
	return out.Write(w)
}

// table is what -o table shows about one client.
func table(r v1alpha1.ProbeReport, i int) string {
	r.Clients, r.Checks = r.Clients[i:i+1], nil
	return plain(Sections(r, false))
}

// completeCase is the test of whether all requests of a client are accounted for. table is what the client saw.
func completeCase(client string, complete bool, reason, table string) junit.Case {
	out := junit.Case{Class: junit.Text("client " + client), Name: "complete", Out: table}
	if !complete {
		out.Error = &junit.Detail{Message: junit.Text(reason), Type: "not complete"}
	}
	return out
}

// checkCase is the test of a check.
func checkCase(k v1alpha1.ProbeCheck) junit.Case {
	one := junit.Case{Class: junit.Text("client " + fromParts(k.Client, k.URL)), Name: junit.Text(k.Expectation)}
	text := &junit.Detail{Message: junit.Text(strings.Trim(k.Observed+"; "+k.Reason, "; ")), Type: k.Result}
	switch k.Result {
	case "PASS":
		one.Out = text.Message
	case "FAIL":
		one.Failure = text
	default:
		one.Error = text
	}
	return one
}

// plain prints sections as -o table does, without colours.
func plain(sections []output.Section) string {
	var text bytes.Buffer
	flags := output.NewFlags()
	flags.Colour = "never"
	if err := flags.Print(&text, nil, sections); err != nil {
		return fmt.Sprint(err)
	}
	return junit.Lines(text.String())
}
