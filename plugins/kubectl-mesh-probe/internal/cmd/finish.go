package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/probe"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/view"
)

// hintTLS prints how to go on when no request of any client got through TLS.
func (s *session) hintTLS() {
	var results []probe.Result
	for _, c := range s.clients {
		results = append(results, c.Result)
	}
	if hint := probe.TLSHint(s.o.config, results...); hint != "" {
		s.note("%s", hint)
	}
}

// finish prints the report and returns the exit code.
func (s *session) finish(ctx context.Context, doc v1alpha1.ProbeReport) error {
	sent := slices.ContainsFunc(s.clients, func(c *client) bool { return !c.Result.Start.IsZero() })
	if !sent {
		// Nothing was sent from anywhere: one line, no empty table.
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var errs []error
		for _, c := range s.clients {
			errs = append(errs, c.err)
		}
		return errors.Join(errs...)
	}
	for _, c := range s.clients {
		for _, w := range c.Result.Warnings {
			s.warn("cluster %s: %s", c.member.Name, w)
		}
	}
	if err := s.out.Print(s.Out, doc, view.Sections(doc)); err != nil {
		return err
	}
	s.hintTLS()
	if ctx.Err() != nil {
		return &cli.ExitError{Code: cli.ExitInterrupted, Err: errors.New("interrupted: the result is partial")}
	}
	missing := s.missing(ctx, s.sel.Members)
	var incomplete []error
	failed, open := 0, 0
	for _, c := range s.clients {
		if !c.Result.Complete && c.member.Err == nil {
			incomplete = append(incomplete, fmt.Errorf("cluster %s: %s", c.member.Name, c.Result.Reason))
		}
	}
	blind := 0
	for _, c := range doc.Clients {
		if c.Unknown > 0 && c.Unknown+c.NoAnswer == c.Requests {
			blind++
		}
	}
	for _, k := range doc.Checks {
		switch probe.Verdict(k.Result) {
		case probe.Fail:
			failed++
		case probe.Inconclusive:
			open++
		}
	}
	switch {
	case len(incomplete) > 0:
		return &cli.ExitError{Code: cli.ExitNoAnswer, Err: fmt.Errorf("the run is not complete: %w", errors.Join(incomplete...))}
	case missing > 0:
		return &cli.ExitError{Code: cli.ExitNoAnswer, Err: fmt.Errorf("%d of %d clusters could not be read; the result is not complete", missing, len(s.sel.Members))}
	case failed > 0:
		return &cli.ExitError{Code: cli.ExitFailure, Err: fmt.Errorf("%d of %d checks failed", failed, len(doc.Checks))}
	case blind > 0:
		return &cli.ExitError{Code: cli.ExitNoAnswer, Err: errors.New("no reply tells who sent it; name the part that does with --identify body=REGEX, header=NAME or json=PATH")}
	case open > 0:
		return &cli.ExitError{Code: cli.ExitNoAnswer, Err: fmt.Errorf("%d of %d checks are inconclusive", open, len(doc.Checks))}
	}
	return nil
}
