package drill

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/fanout"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/drillrecord"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/podexec"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/request"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/target"
)

// display is the command that a user types to run the plugin.
const display = "kubectl mesh-probe"

// choose finds the members, and tells the user what there is to know about the choice.
func (p Place) choose(ctx context.Context, ui UI) (*clusters.Selection, error) {
	sel, err := p.Select(ctx)
	for _, w := range sel.Warnings {
		ui.Warn("%s", w)
	}
	if err != nil {
		return nil, err
	}
	for _, n := range sel.Notes {
		ui.Note("Note: %s", n)
	}
	return sel, nil
}

// find reads the Service in all members and finds the drilled cluster, the Service and its port.
func (r *run) find(ctx context.Context) error {
	found, err := r.sel.Resolve("--in", []string{r.In})
	if err != nil {
		return errors.Join(err, failures(r.sel.Members))
	}
	r.target = found[0]
	var host string
	if r.calls() == nil {
		if host, _, err = target.SplitService(r.Service); err != nil {
			return err
		}
	} else {
		host = r.calls().Host()
	}
	meaning := target.ClusterFirst(r.namespace).Meaning(host)
	switch {
	case meaning.Why != "":
		return fmt.Errorf("%q: %s; a drill needs the name of a Service", r.Service, meaning.Why)
	case meaning.Import:
		return fmt.Errorf("%q is a ServiceImport; name the Service that it is derived from", r.Service)
	}
	r.key = meaning.Service
	r.read(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := r.unfound(); err != nil {
		return err
	}
	return r.findPort()
}

// calls is the URL that was typed. It is nil for the name of a Service.
func (r *run) calls() *request.Target {
	for _, t := range r.Probe.Targets { // a drill has one
		return t.URL
	}
	return nil
}

// unfound says why the Service is not known in the drilled cluster.
func (r *run) unfound() error {
	switch {
	case r.target.Err != nil:
		return fmt.Errorf("cluster %s could not be read (%s): %w", r.target.Label(), r.target.Err.Class, r.target.Err)
	case r.state.Services[r.target.Name][r.key] == nil:
		return fmt.Errorf("service %s not found in cluster %s", r.key, r.target.Label())
	}
	return nil
}

// findPort finds the port that the clients call.
func (r *run) findPort() error {
	url := r.calls()
	if url == nil {
		got, err := target.URL(&r.state.Snapshot, []string{r.target.Name}, r.key, "http", r.Service)
		if err != nil {
			return err
		}
		url = &got
	}
	r.port, r.url = url.Port(), url.String()
	return nil
}

// read reads the Service in all members, and keeps the members as they are now.
func (r *run) read(ctx context.Context) {
	r.state = meshstate.Read(ctx, r.sel.Members, r.Change.Timeout, meshstate.Query{Namespace: r.key.Namespace, Name: r.key.Name, Objects: true})
	sel := *r.sel
	sel.Members = r.state.Now(sel.Members)
	r.sel = &sel
	r.target = r.state.Now([]*clusters.Member{r.target})[0]
}

// findClients finds the clusters whose clients send requests.
func (r *run) findClients() error {
	members, chosen := r.sel.Members, r.Probe.Clients.Clusters
	if len(chosen) > 0 && (len(chosen) > 1 || chosen[0] != "all") {
		var err error
		if members, err = r.sel.Resolve("--from-clusters", chosen); err != nil {
			return err
		}
	}
	for _, m := range members {
		r.clients = append(r.clients, m.Name)
	}
	return nil
}

// checkClients finds the client pods before anybody is asked. The probe finds them again when it begins.
func (r *run) checkClients(ctx context.Context) error {
	members := slices.DeleteFunc(slices.Clone(r.sel.Members), func(m *clusters.Member) bool { return !slices.Contains(r.clients, m.Name) })
	from := r.Probe.Clients
	results := fanout.Each(ctx, members, r.Change.Timeout, func(ctx context.Context, m *clusters.Member) (podexec.Found, error) {
		return podexec.FindAll(ctx, m.Client, r.namespace, from.From, from.Container, from.Which)
	})
	var errs []error
	for _, found := range results {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case found.Err != nil:
			errs = append(errs, fmt.Errorf("cluster %s: %w", found.Member.Label(), found.Err.WithClass()))
		case found.Member.Name == r.target.Name && r.namespace == r.key.Namespace:
			for _, p := range found.Value.Pods {
				if isBackend(r.backends.pods, p.Name) {
					errs = append(errs, fmt.Errorf("client pod %s in %s is one of the pods that the drill removes; choose another with --from", p.Name, found.Member.Name))
				}
			}
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return fmt.Errorf("%w; use --from-clusters to choose the clusters in which clients send requests", errors.Join(errs...))
}

// alone fails if a drill of the same Service, or of the same workload, is under way, or crashed. own is the id of the drill's own record.
func (r *run) alone(ctx context.Context, own string) error {
	rec, err := r.other(ctx, own)
	if err != nil || rec == nil {
		return err
	}
	return r.underWay(rec)
}

// other returns the record of a drill of the same Service, or of the same workload; nil if there is none.
func (r *run) other(ctx context.Context, own string) (*drillrecord.Record, error) {
	records, problems := drillrecord.List(ctx, r.sel.Members, r.Change.Timeout, r.key.Namespace)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err := drillrecord.Join(problems); err != nil {
		return nil, fmt.Errorf("cannot determine whether another drill is under way: %w", err)
	}
	for _, rec := range records {
		if rec.ID != own && (rec.Service == r.key || rec.Member.Name == r.target.Name && r.shares(rec)) {
			return rec, nil
		}
	}
	return nil, nil //nolint:nilnil // there is none
}

// underWay is the error for the record of another drill.
func (r *run) underWay(rec *drillrecord.Record) error {
	return fmt.Errorf("a drill of Service %s in %s, begun by %s, is under way or was not finished (%s). To restore what it changed, run: %s",
		rec.Service, rec.Member.Name, rec.Who(), rec.Place(), repairCommand(r.sel.Members, rec))
}

// shares reports whether another drill changes an object that this one changes. A drill that is not planned yet changes none.
func (r *run) shares(rec *drillrecord.Record) bool {
	return r.record != nil && slices.ContainsFunc(r.record.Changes, func(c drillrecord.Change) bool { return rec.Touches(c.Kind, c.Name) })
}

// repairCommand restores what the drill of a record changed.
func repairCommand(members []*clusters.Member, rec *drillrecord.Record) string {
	return commandline.Plugin(display, commandline.MeshOf(members), rec.Service.Namespace, "drill", rec.Service.Name, "--repair", "--in", rec.Member.Name)
}

// repair is the command for this drill's own record, wherever it is stored.
func (r *run) repair() string {
	rec := *r.record
	rec.Member = r.target
	return repairCommand(r.sel.Members, &rec)
}

// failures says which members could not be read, and why: the cluster that is meant may be one of them.
func failures(members []*clusters.Member) error {
	var errs []error
	for _, m := range unread(members) {
		errs = append(errs, fmt.Errorf("cluster %s could not be read (%s): %w", m.Label(), m.Err.Class, m.Err))
	}
	return errors.Join(errs...)
}

// unread names the members that could not be read.
func unread(members []*clusters.Member) []*clusters.Member {
	return slices.DeleteFunc(slices.Clone(members), func(m *clusters.Member) bool { return m.Err == nil })
}

// readable are the members without an error.
func readable(members []*clusters.Member) []*clusters.Member {
	return slices.DeleteFunc(slices.Clone(members), func(m *clusters.Member) bool { return m.Err != nil })
}
