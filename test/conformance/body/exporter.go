package body

import (
	"context"
	"testing"
)

// Exporter is Cilium's exporter, running beside an API server.
type Exporter interface {
	// Version is Cilium's, without a leading v.
	Version() string
	// Ask makes the API server hold the questions in place of those of the last call, each in a namespace of its own,
	// waits for the exporter, and returns an answer to each.
	Ask(ctx context.Context, questions []Cluster) ([]Answer, error)
}

// Answer is what an exporter wrote.
type Answer struct {
	// Question is what the API server holds: with its defaults and addresses, and in its own namespace.
	Question Cluster
	// Exported is what the exporter offers to other clusters, and OK tells whether it exports the Service at all.
	Exported Exported
	OK       bool
}

// exporterCases is the number of random cases where each is a namespace of an API server.
const exporterCases = 600

// RunExporter compares what we call exported with what the exporter writes: of the objects at its start, and after each of
// them changed.
//
// The variables are those of Run; CONFORMANCE_CASES is 600 if unset.
func RunExporter(t *testing.T, e Exporter) {
	s := settings(t, exporterCases)
	t.Logf("Cilium %s: seed %d, %d cases", e.Version(), s.seed, s.cases)
	questions := map[int]Cluster{}
	s.askAll(t, e, "exporter: objects at its start", func(n int) Cluster {
		questions[n] = newRandom(s.seed, uint64(n)).exporter()
		return questions[n]
	})
	s.askAll(t, e, "exporter: objects that changed", func(n int) Cluster {
		return newRandom(s.seed+1, uint64(n)).changed(questions[n])
	})
}

// askAll asks all cases of one function at once: an exporter answers in its own time.
func (s run) askAll(t *testing.T, e Exporter, function string, question func(n int) Cluster) {
	t.Helper()
	numbers := s.numbers()
	questions := make([]Cluster, len(numbers))
	for i, n := range numbers {
		questions[i] = question(n)
	}
	answers, err := e.Ask(t.Context(), questions)
	if err != nil {
		t.Fatalf("%s: %v", function, err)
	}
	of := make(map[int]Answer, len(numbers))
	exported := 0
	for i, n := range numbers {
		of[n] = answers[i]
		if answers[i].OK {
			exported++
		}
	}
	t.Logf("%s: %d of %d are exported", function, exported, len(numbers))
	s.tally(t, e.Version(), function, func(n int) (any, string, error) {
		a := of[n]
		return a.Question, offerDiffers(e.Version(), a.Question, a.Exported, a.OK), nil
	})
}
