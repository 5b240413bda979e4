package faults

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/testkit/documents"
)

// run is what one run of a command did.
type run struct {
	stdout, stderr string
	code           int
	tooLong        bool     // it was ended after the hard limit
	met            bool     // the command met the fault
	changed        []string // the objects that are different afterwards, by cluster, kind and name, without the random parts of names
	objects        []string // the same with their full names
	files          []string // in the directory in which it ran
}

// wanted is what a run must be like.
type wanted struct {
	baseline run           // the same command without a fault
	works    bool          // the fault changes nothing
	eitherOr bool          // the API server did what was asked: the command may find that out, or not
	code     int           // unless it works
	class    failure.Class // unless it works; empty for any
	wayBack  *regexp.Regexp
	cluster  string // the one with the fault, as Cilium calls it
	document bool   // stdout is a document
	names    bool   // what is changed cannot be undone, and must be named
}

// exitCode begins a line about one.
const exitCode = "exit code "

// judge returns what is not as documented, each in one line.
func judge(r run, w wanted) []string {
	var wrong []string
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	if r.tooLong {
		say("still running after %s", hardLimit)
	}
	if trace.MatchString(r.stderr) || trace.MatchString(r.stdout) {
		say("a panic")
	}
	if w.document && strings.TrimSpace(r.stdout) != "" && !json.Valid([]byte(r.stdout)) {
		say("stdout is not a valid document")
	}
	for _, err := range documents.Errors(r.stdout) {
		say("%v", err)
	}
	works := w.works || !r.met || w.eitherOr && r.code == w.baseline.code
	switch {
	case works && r.code != w.baseline.code:
		say(exitCode+"%d, want %d as without the fault", r.code, w.baseline.code)
	case works && !slices.Equal(r.changed, w.baseline.changed):
		say("changed %q, want %q as without the fault", r.changed, w.baseline.changed)
	case works && !slices.Equal(r.files, w.baseline.files):
		say("left the files %q, want %q as without the fault", r.files, w.baseline.files)
	case works:
	case w.eitherOr && strings.Contains(r.stdout+r.stderr, "it was not written"):
		say("the report says that it was not written, and it was")
	case len(r.files) > 0:
		say("failed, and left the files %q", r.files)
	case r.code != w.code:
		say(exitCode+"%d, want %d", r.code, w.code)
	default:
		wrong = append(wrong, reported(r, w)...)
	}
	return wrong
}

// reported says what is missing in the report of a command that failed.
func reported(r run, w wanted) []string {
	var wrong []string
	if !w.names && len(r.changed) > 0 && (w.wayBack == nil || !w.wayBack.MatchString(r.stdout+r.stderr)) {
		wrong = append(wrong, fmt.Sprintf("changed %q, and does not print how to undo it", r.changed))
	}
	for _, key := range r.objects {
		if w.names && !printed(r, key) {
			wrong = append(wrong, fmt.Sprintf("changed %q, which cannot be undone, and does not print it", key))
		}
	}
	if got := memberError(r.stdout, w.cluster); got != nil && w.class != "" && !hasClass(*got, w.class) {
		wrong = append(wrong, fmt.Sprintf("in the document, %s has the class %q, want %q", w.cluster, got.Class, w.class))
	}
	names := regexp.MustCompile(`\b` + w.cluster + `\b`)
	var errorLines []string
	named, classed := false, false
	for line := range strings.Lines(r.stderr + "\n" + r.stdout) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "error: ") {
			errorLines = append(errorLines, line)
		}
		if names.MatchString(line) {
			named = named || !strings.HasPrefix(line, "Waiting")
			classed = classed || w.class == "" || says(line, w.class)
		}
	}
	sorted := slices.Compact(slices.Sorted(slices.Values(errorLines)))
	switch {
	case len(errorLines) == 0:
		wrong = append(wrong, "no error on stderr")
	case len(sorted) < len(errorLines):
		wrong = append(wrong, fmt.Sprintf("an error is printed twice: %q", errorLines))
	}
	if !named {
		wrong = append(wrong, "no line names cluster "+w.cluster)
	}
	if named && !classed {
		wrong = append(wrong, fmt.Sprintf("no line about %s is of class %s", w.cluster, w.class))
	}
	return wrong
}

// printed reports whether a line of an output has the name of an object and that of its cluster.
func printed(r run, key string) bool {
	context, object, _ := strings.Cut(key, " ")
	cluster, name := regexp.MustCompile(`\b`+strings.TrimPrefix(context, "kind-")+`\b`), object[strings.LastIndex(object, "/")+1:]
	for line := range strings.Lines(r.stdout + "\n" + r.stderr) {
		if cluster.MatchString(line) && strings.Contains(line, name) {
			return true
		}
	}
	return false
}

// hasClass reports whether an error has a class, or is that of a peer whose context could not be read: its message then has the class.
func hasClass(got v1alpha1.MemberError, want failure.Class) bool {
	return got.Class == string(want) || got.Class == string(failure.Kubeconfig) && strings.Contains(got.Message, "("+string(want)+")")
}

// memberError returns the error of a cluster in a document, nil if it has none.
func memberError(stdout, cluster string) *v1alpha1.MemberError {
	var doc struct {
		Members []v1alpha1.Member `json:"members"`
	}
	if json.Unmarshal([]byte(stdout), &doc) != nil {
		return nil
	}
	for _, m := range doc.Members {
		if m.Name == cluster && m.Error != nil {
			return m.Error
		}
	}
	return nil
}

// trace is how a panic of Go begins.
var trace = regexp.MustCompile(`(?m)^(panic: |fatal error: |goroutine \d+ \[)`)

// says reports whether a line gives its reason the class: by its word, or by the error that stands for it.
func says(line string, class failure.Class) bool {
	word := words[class]
	return strings.Contains(line, string(class)+": ") || strings.Contains(line, "("+string(class)+")") || word != nil && word.MatchString(line)
}

// words are what errors of a class are recognized by where the class is not printed.
var words = map[failure.Class]*regexp.Regexp{
	failure.Timeout:      regexp.MustCompile(`no answer within|deadline exceeded|429|Too Many Requests`),
	failure.Refused:      regexp.MustCompile(`connection refused|connection reset|EOF|stream error|broken pipe|closed`),
	failure.TLS:          regexp.MustCompile(`x509|tls|HTTPS client`),
	failure.Unauthorized: regexp.MustCompile(`Unauthorized|credentials`),
	failure.Forbidden:    regexp.MustCompile(`no permission|forbidden`),
	failure.DNS:          regexp.MustCompile(`no such host`),
	failure.NotFound:     regexp.MustCompile(`not found|could not find`),
	failure.Other:        regexp.MustCompile(`: `),
}
