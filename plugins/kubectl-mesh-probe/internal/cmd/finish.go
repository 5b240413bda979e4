package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/judge"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/sender"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/view"
)

// tlsHint says how to go on when no request of any client got through TLS; empty if one did.
func (s *session) tlsHint() string {
	var results []sender.Result
	for _, c := range s.clients {
		results = append(results, c.Result)
	}
	return sender.TLSHint(s.o.config, results...)
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
	if hint := s.tlsHint(); hint != "" {
		s.note("%s", hint)
	}
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
	dead := unanswered(doc)
	for _, k := range doc.Checks {
		switch judge.Verdict(k.Result) {
		case judge.Fail:
			if !slices.ContainsFunc(dead, func(c v1alpha1.ProbeClient) bool { return c.Cluster == k.Client }) {
				failed++
			}
		case judge.Inconclusive:
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
	case len(dead) > 0:
		return &cli.ExitError{Code: cli.ExitNoAnswer, Err: s.whereToLook(dead[0], len(dead))}
	case blind(doc) != nil:
		return &cli.ExitError{Code: cli.ExitNoAnswer, Err: blind(doc)}
	case open > 0:
		return &cli.ExitError{Code: cli.ExitNoAnswer, Err: fmt.Errorf("%d of %d checks are inconclusive", open, len(doc.Checks))}
	}
	return nil
}

// blind is the error for a client of which no reply tells who sent it.
func blind(doc v1alpha1.ProbeReport) error {
	for _, c := range doc.Clients {
		switch {
		case c.Answered == 0 || c.Unknown < c.Answered:
		case c.UnknownErrors == c.Unknown:
			return fmt.Errorf("cluster %s: every reply is an error, and no reply tells who sent it; look at the server, or at a proxy in between", c.Cluster)
		default:
			return errors.New("no reply tells who sent it; name the part that does with --identify body=REGEX, header=NAME or json=PATH")
		}
	}
	return nil
}

// unanswered are the clients that sent requests and did not get a single answer.
func unanswered(doc v1alpha1.ProbeReport) []v1alpha1.ProbeClient {
	var out []v1alpha1.ProbeClient
	for _, c := range doc.Clients {
		if c.Requests > 0 && c.Answered == 0 {
			out = append(out, c)
		}
	}
	return out
}

// whereToLook is the line for a run without a single answer: what failed most often, and where that comes from.
func (s *session) whereToLook(c v1alpha1.ProbeClient, clients int) error {
	class, count, message := reply.ClassUnknown, 0, ""
	if len(c.Errors) > 0 {
		class, count, message = reply.Class(c.Errors[0].Class), c.Errors[0].Count, c.Errors[0].Message
	}
	of := ""
	if clients > 1 {
		of = fmt.Sprintf(" in %d clusters", clients)
	}
	what := fmt.Sprintf("cluster %s: no request was answered%s: %d of %d failed with %s", c.Cluster, of, count, c.Requests, class)
	if message = output.Clean(message); message != "" {
		what += fmt.Sprintf(" (%s)", message)
	}
	if class == reply.ClassTLS && s.tlsHint() != "" {
		return errors.New(what) // the note has said how to go on
	}
	return fmt.Errorf("%s; %s", what, s.advice(class))
}

func (s *session) advice(class reply.Class) string {
	service := "the Service"
	if s.service {
		service = "Service " + s.key.String()
	}
	switch class {
	case reply.ClassDNS:
		return fmt.Sprintf("check the name %s in the URL, that %s exists in the cluster of the client, and the DNS of the client pod", s.url.Host(), service)
	case reply.ClassRefused, reply.ClassUnreachable, reply.ClassConnectTimeout:
		return fmt.Sprintf("check the port %d in the URL, the ready endpoints of %s (kubectl mesh-svc describe), and network policies", s.url.Port(), service)
	case reply.ClassTLS:
		return "give the CA that signed the server's certificate with --cacert FILE, or skip the check with --insecure"
	case reply.ClassReset, reply.ClassReadTimeout, reply.ClassEmpty, reply.ClassTruncated:
		return fmt.Sprintf("the connections are made and nothing comes back: check the logs of the pods behind %s, whether they speak %s at port %d, and what is in between", service, s.url.Scheme(), s.url.Port())
	}
	return "check that the tool in the client pod works, or choose another with --tool"
}
