package probe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/text"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/judge"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/sender"
)

// conclude returns the report, and a *ResultError if the probe did not succeed.
func (r *run) conclude(ctx context.Context, doc v1alpha1.ProbeReport) (*Report, error) {
	for _, c := range r.clients {
		for _, w := range c.result.Warnings {
			r.ui.Warn("%s: %s", c.where(), w)
		}
	}
	report := &Report{Document: doc, Requests: &r.history, Hint: r.tlsHint()}
	if ctx.Err() != nil {
		return report, &ResultError{Interrupted: true, Err: errors.New("interrupted: the result is partial")}
	}
	report.Unread = r.mesh.selection.Failed()
	if f := r.failure(doc, len(report.Unread)); f != nil {
		return report, f
	}
	return report, nil
}

// failure returns why the probe did not succeed, nil if it did. The first reason counts.
func (r *run) failure(doc v1alpha1.ProbeReport, unread int) *ResultError {
	incomplete := r.incomplete()
	silent, event := unanswered(doc), r.eventsFailed()
	failed, open := countChecks(doc, silent)
	switch {
	case len(incomplete) > 0:
		return &ResultError{Err: fmt.Errorf("the run is not complete: %w", errors.Join(incomplete...))}
	case unread > 0:
		return &ResultError{Err: fmt.Errorf("%d of %d clusters could not be read; the result is not complete", unread, len(r.mesh.selection.Members))}
	case event != nil:
		return &ResultError{Err: event}
	case failed > 0:
		return &ResultError{Missed: true, Err: fmt.Errorf("%d of %d checks failed", failed, len(doc.Checks))}
	case len(silent) > 0:
		return &ResultError{Err: r.whereToLook(silent[0], len(silent))}
	}
	if err := unattributed(doc); err != nil {
		return &ResultError{Err: err}
	}
	if r.left > 0 {
		return &ResultError{Err: fmt.Errorf("helper pods that could not be removed: %d", r.left)}
	}
	if open > 0 {
		return &ResultError{Err: fmt.Errorf("%d of %d checks are inconclusive", open, len(doc.Checks))}
	}
	return nil
}

// incomplete returns why clients are not complete. A pod that cannot send has one reason for all targets.
func (r *run) incomplete() []error {
	var out []error
	for _, c := range r.clients {
		if c.result.Complete || r.mesh.now(c.member).Err != nil {
			continue
		}
		at := c.where()
		if c.err != nil {
			at = c.source.where()
		}
		err := fmt.Errorf("%s: %s", at, c.result.Reason)
		if n := len(out); n == 0 || out[n-1].Error() != err.Error() {
			out = append(out, err)
		}
	}
	return out
}

// where is client.where for the document of a client.
func where(c v1alpha1.ProbeClient) string {
	out := "cluster " + c.Name
	if c.Name != c.Cluster {
		out = "client " + c.Name
	}
	if c.URL != "" {
		out += ", " + c.URL
	}
	return out
}

// severalInACluster reports whether several pods of one cluster send requests.
func (r *run) severalInACluster() bool {
	return slices.ContainsFunc(r.sources, func(s *source) bool { return !r.isFirst(s) })
}

// countChecks counts the checks that failed and those that are inconclusive. A failed check of a client without a single answer does not
// count: it proves nothing about who answers.
func countChecks(doc v1alpha1.ProbeReport, silent []v1alpha1.ProbeClient) (failed, open int) {
	for _, k := range doc.Checks {
		switch judge.Verdict(k.Result) {
		case judge.Fail:
			if !slices.ContainsFunc(silent, func(c v1alpha1.ProbeClient) bool { return c.Name == k.Client && c.URL == k.URL }) {
				failed++
			}
		case judge.Inconclusive:
			open++
		}
	}
	return failed, open
}

// unattributed returns an error if no reply of a client could be attributed.
func unattributed(doc v1alpha1.ProbeReport) error {
	for _, c := range doc.Clients {
		switch {
		case c.Answered == 0 || c.Unknown < c.Answered:
		case strings.HasPrefix(doc.Target.URL, "tcp://"):
			return fmt.Errorf("%s: the cluster of every connection is unknown", where(c))
		case c.UnknownErrors == c.Unknown:
			return fmt.Errorf("%s: every reply is an error, and no reply identifies its sender; check the server, or a proxy in between", where(c))
		case c.URL != "":
			return fmt.Errorf("%s: no reply identifies its sender; use --identify body=REGEX, header=NAME or json=PATH to select a part of the reply that does", where(c))
		default:
			return errors.New("no reply identifies its sender; use --identify body=REGEX, header=NAME or json=PATH to select a part of the reply that does")
		}
	}
	return nil
}

// unanswered returns the clients that sent requests and received no reply.
func unanswered(doc v1alpha1.ProbeReport) []v1alpha1.ProbeClient {
	var out []v1alpha1.ProbeClient
	for _, c := range doc.Clients {
		if c.Requests > 0 && c.Answered == 0 {
			out = append(out, c)
		}
	}
	return out
}

// tlsHint says how to proceed if every request of every client failed in TLS. It is empty otherwise.
func (r *run) tlsHint() string {
	var results []sender.Result
	for _, c := range r.clients {
		results = append(results, c.result)
	}
	return sender.TLSHint(r.cfg.Send, results...)
}

// whereToLook is the error for a run without a single reply: the most frequent failure, and where it comes from.
func (r *run) whereToLook(c v1alpha1.ProbeClient, clients int) error {
	class, count, message := reply.ClassUnknown, 0, ""
	if len(c.Errors) > 0 {
		class, count, message = reply.Class(c.Errors[0].Class), c.Errors[0].Count, c.Errors[0].Message
	}
	of := ""
	if clients > 1 {
		switch {
		case c.URL != "":
			of = fmt.Sprintf(" (the same holds for %d of %d pairs of client and URL)", clients, len(r.clients))
		case r.severalInACluster():
			of = fmt.Sprintf(" from %d client pods", clients)
		default:
			of = fmt.Sprintf(" in %d clusters", clients)
		}
	}
	what := fmt.Sprintf("%s: no request was answered%s: %d of %d failed with %s", where(c), of, count, c.Requests, class)
	if message = text.OneLine(message); message != "" {
		what += fmt.Sprintf(" (%s)", message)
	}
	if class == reply.ClassTLS && r.tlsHint() != "" {
		return errors.New(what) // the hint says how to proceed
	}
	return fmt.Errorf("%s; %s", what, r.advice(r.called(c.URL), class))
}

// called returns the target with a URL, as documents have it.
func (r *run) called(url string) *service {
	for _, s := range r.services {
		if s.url.String() == url {
			return s
		}
	}
	return r.services[0]
}

func (r *run) advice(to *service, class reply.Class) string {
	url, service := to.url, "the Service"
	if to.found {
		service = "Service " + to.key.String()
	}
	switch class {
	case reply.ClassDNS:
		return fmt.Sprintf("check the name %s in the URL, that %s exists in the cluster of the client, and the DNS of the client pod", url.Host(), service)
	case reply.ClassRefused, reply.ClassUnreachable, reply.ClassConnectTimeout:
		describe := ""
		if key := to.key; to.found {
			describe = " (" + commandline.Plugin("kubectl mesh-svc", commandline.MeshOf(r.mesh.selection.Members), key.Namespace, "describe", key.Name) + ")"
		}
		return fmt.Sprintf("check the port %d in the URL, the ready endpoints of %s%s, and network policies", url.Port(), service, describe)
	case reply.ClassTLS:
		return r.tlsAdvice()
	case reply.ClassReset, reply.ClassReadTimeout, reply.ClassEmpty, reply.ClassTruncated:
		return fmt.Sprintf("connections are established, but no reply arrives: check the logs of the pods of %s, whether they speak %s on port %d, and proxies in between", service, url.Scheme(), url.Port())
	}
	return "check that the tool in the client pod works, or choose another with --tool"
}

// tlsAdvice says how to proceed if TLS failed. --cacert and --insecure exclude each other, and need a run in which all URLs are https.
func (r *run) tlsAdvice() string {
	if r.cfg.Send.Insecure {
		return "check that the port speaks TLS, and that the tool and the server share a TLS version"
	}
	if len(r.cfg.Send.CACert) > 0 {
		return "check that the file of --cacert has the CA that signed the server's certificate, and that the certificate is valid for the name in the URL"
	}
	advice := "use --cacert FILE with the CA that signed the server's certificate, or skip the verification with --insecure"
	if len(r.services) > 1 && slices.ContainsFunc(r.services, func(s *service) bool { return !s.url.TLS() }) {
		advice += "; both need a run without the http URLs"
	}
	return advice
}
