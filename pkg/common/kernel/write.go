package kernel

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/change"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cli"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/confirm"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/output"
)

// WriteExits is the end of the help of every command that writes.
const WriteExits = "\n\nExit codes: 0 done, unchanged or dry run; 1 anything else; 130 interrupted."

// WriteUsages are the help texts that differ from command to command. A command without a text for AllowPartial or ForceConflicts does not have that flag.
type WriteUsages struct {
	Manager, Yes, AllowPartial, ForceConflicts string
}

// WriteFlags are the flags of all commands that write.
type WriteFlags struct {
	Out *output.Flags

	dryRun                            cli.DryRun
	preflight, manager                string
	defaultManager                    string
	yes, allowPartial, forceConflicts bool
}

// fullPreflight is the default of --preflight.
const fullPreflight = "full"

// NewWriteFlags returns the flags with their defaults.
func NewWriteFlags(manager string) *WriteFlags {
	return &WriteFlags{Out: output.NewFlags().WithNames(), preflight: fullPreflight, manager: manager, defaultManager: manager}
}

// AddFlags registers the flags.
func (f *WriteFlags) AddFlags(fs *pflag.FlagSet, usages WriteUsages) {
	f.dryRun.AddFlag(fs, "Must be one of: none, client, server. client shows the plan; server also checks it in every cluster with admission. Nothing is written.")
	fs.StringVar(&f.preflight, "preflight", f.preflight, "Must be one of: full, access. access asks for permission only, for clusters with an admission webhook that cannot dry-run.")
	fs.StringVar(&f.manager, "field-manager", f.manager, usages.Manager)
	fs.BoolVarP(&f.yes, "yes", "y", false, usages.Yes)
	if usages.AllowPartial != "" {
		fs.BoolVar(&f.allowPartial, "allow-partial", false, usages.AllowPartial)
	}
	if usages.ForceConflicts != "" {
		fs.BoolVar(&f.forceConflicts, "force-conflicts", false, usages.ForceConflicts)
	}
	f.Out.AddFlags(fs)
}

// Write is how a command writes, as its flags say.
type Write struct {
	DryRun         cli.DryRunStrategy
	Manager        string
	AllowPartial   bool
	ForceConflicts bool
	Change         change.Options
	// RetryFlags are the flags that say so and do not have their default, as they are typed again, without those of the output, --dry-run and --yes. A printed
	// command that goes on after this one needs them: without them it may be refused.
	RetryFlags []string
}

// Config checks the flags, and warns of old spellings. From then on, nobody who stops reading the output ends the command between two writes.
func (f *WriteFlags) Config(e *Env) (Write, error) {
	cli.SurviveBrokenPipes()
	if err := f.Out.Validate(); err != nil {
		return Write{}, err
	}
	if f.dryRun.Deprecated != "" {
		e.Warn("%s", f.dryRun.Deprecated)
	}
	switch {
	case f.preflight != fullPreflight && f.preflight != "access":
		return Write{}, fmt.Errorf("--preflight %q is invalid; it must be one of: full, access", f.preflight)
	case f.manager == "":
		return Write{}, errors.New("--field-manager is empty")
	}
	return Write{DryRun: f.dryRun.Value, Manager: f.manager, AllowPartial: f.allowPartial, ForceConflicts: f.forceConflicts, RetryFlags: f.retryFlags(),
		Change: change.Options{Timeout: e.Flags.Timeout, AccessOnly: f.preflight == "access", AllowPartial: f.allowPartial}}, nil
}

func (f *WriteFlags) retryFlags() []string {
	var out []string
	if f.allowPartial {
		out = append(out, "--allow-partial")
	}
	if f.forceConflicts {
		out = append(out, "--force-conflicts")
	}
	if f.preflight != fullPreflight {
		out = append(out, "--preflight="+f.preflight)
	}
	if f.manager != f.defaultManager {
		out = append(out, "--field-manager="+f.manager)
	}
	return out
}

// UI is how a use case talks to the person who runs it.
type UI interface {
	Say(format string, args ...any)
	Note(format string, args ...any)
	Warn(format string, args ...any)
	// Unread says which members could not be read, and returns their names.
	Unread(members ...*clusters.Member) []string
	// Unseen says what could not be seen because a permission is missing since the last call.
	Unseen(members []*clusters.Member)
	// Show shows a plan before it is carried out; wide says whether all of it is to be shown. A plan about which nobody is asked is for people only.
	Show(plan func(wide bool) []output.Section, asks bool) error
	// Confirm asks a question, unless --yes was given.
	Confirm(ctx context.Context, question string) error
	// Progress shows how far a change is, until end is called.
	Progress() (events func(change.Event), end func())
}

// UI returns what a use case of a command with these flags talks through.
func (f *WriteFlags) UI(e *Env) UI { return &terminal{Env: e, out: f.Out, yes: f.yes} }

type terminal struct {
	*Env
	out *output.Flags
	yes bool
}

func (t *terminal) Show(plan func(wide bool) []output.Section, asks bool) error {
	if !t.out.IsTable() && (!asks || t.yes) {
		return nil
	}
	return t.out.PrintPlan(t.ErrOut, plan(t.out.Format == output.Wide))
}

func (t *terminal) Confirm(ctx context.Context, question string) error {
	ask := confirm.Prompter{In: t.In, ErrOut: t.ErrOut, Terminal: output.IsTerminal(t.In), Yes: t.yes}
	return ask.Ask(ctx, output.Clean(question))
}

// progressMinimum is the minimum number of steps for which progress is shown.
const progressMinimum = 20

// silence is how long a write may take before a person on a terminal is told what the command waits for.
const silence = 2 * time.Second

func (t *terminal) Progress() (events func(change.Event), end func()) {
	p := &progress{terminal: t, live: output.TakesEscapes(t.ErrOut)}
	return p.event, p.end
}

// progress shows how far a change is.
type progress struct {
	*terminal
	live bool // stderr is a terminal

	mu    sync.Mutex
	shown bool        // a line that is rewritten
	wait  *time.Timer // says what the command waits for
}

func (p *progress) event(e change.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.Kind == change.Finishing {
		p.clear()
		p.Say("Interrupted. Waiting for the outcome of the write to %s in %s; each request may take %s (--cluster-timeout).", e.Step.Target(), e.Step.Target().Member.Name, p.Flags.Timeout)
		return
	}
	if !p.live {
		return
	}
	if p.wait != nil {
		p.wait.Stop()
	}
	if e.Kind == change.Begun {
		p.wait = time.AfterFunc(silence, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.clear()
			p.Say("Waiting for the write to %s in %s.", e.Step.Target(), e.Step.Target().Member.Name)
		})
		return
	}
	if e.Total >= progressMinimum {
		p.shown = true
		_, _ = fmt.Fprintf(p.ErrOut, "\r%d of %d %s", e.Done, e.Total, e.Kind)
	}
}

// clear removes the line that is rewritten.
func (p *progress) clear() {
	if p.shown {
		_, _ = fmt.Fprint(p.ErrOut, "\r\x1b[K")
		p.shown = false
	}
}

func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wait != nil {
		p.wait.Stop()
	}
	p.clear()
}

// Names are the objects of a change for -o name: those that are as they were to become or, in a dry run, that would be.
func Names(doc v1alpha1.ChangeReport) []string {
	var out []string
	for _, c := range doc.Changes {
		planned := c.Result == v1alpha1.ResultPlanned && doc.DryRun != string(cli.DryRunNone)
		if planned || c.Result == v1alpha1.ResultChanged || c.Result == v1alpha1.ResultUnchanged {
			out = append(out, c.Object)
		}
	}
	return out
}

// PrintResult prints what a change came to: names, the document, or its tables. Nothing is printed for a person where there is nothing to show.
func (e *Env) PrintResult(out *output.Flags, doc any, objects []string, tables []output.Section) error {
	switch {
	case out.IsName():
		for _, o := range objects {
			if _, err := fmt.Fprintln(e.Out, output.Clean(o)); err != nil {
				return err
			}
		}
		return nil
	case out.IsTable() && tables == nil:
		return nil
	}
	return out.Print(e.Out, doc, tables)
}
