package globalsvc

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/annotate"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/drainrecord"
)

// Restore is what undrain does.
type Restore struct {
	*annotate.Plan
	// Left are the Services that somebody changed since, or that are gone; they are not put back.
	Left []routing.Key
	// Missing are the entries of a cluster that was, or may have been, rebuilt whose Services are not there yet.
	Missing []drainrecord.Entry
}

// Undrain plans to put back what the Services of a cluster had before it was drained.
//
// A Service that carries the cluster's mark is as drain left it, or somebody changed it since. On one without a mark drain wrote nothing, or
// somebody took the mark away: it is left. Only where the Service was made anew, because the cluster was rebuilt, the record alone decides: what has
// the value that drain wrote gets the former one back.
func Undrain(st *meshstate.State, m *clusters.Member, records []*drainrecord.Record) *Restore {
	r := &Restore{Plan: &annotate.Plan{Action: "undrain " + m.Name, Manager: Manager}}
	for _, rec := range records {
		r.Former = rec.Manager
	}
	for _, key := range restoreKeys(st, m.Name, records) {
		svc := st.Services[m.Name][key]
		rec, e := entry(records, key)
		if svc == nil {
			item := annotate.Absent(m, key.Namespace, key.Name)
			item.Message = "it was deleted since; there is nothing to put back"
			r.Left = append(r.Left, key)
			switch { // a Service without a mark is here because it has an entry
			case e.UID == "" || rebuilt(m, rec):
				item.Message = "the cluster was rebuilt and it is not there yet"
				r.Missing = append(r.Missing, *e)
			case Unknown(m, []*drainrecord.Record{rec}):
				item.Message = "it is not there, and whether the cluster was rebuilt is not known"
				r.Missing = append(r.Missing, *e)
			}
			r.Items = append(r.Items, item)
			continue
		}
		item, left := restore(m, svc, e)
		if item == nil {
			continue
		}
		r.Items = append(r.Items, item)
		if left {
			r.Left = append(r.Left, key)
		}
	}
	return r
}

// restoreKeys lists the Services that a record names or that carry a mark.
func restoreKeys(st *meshstate.State, cluster string, records []*drainrecord.Record) []routing.Key {
	all := &drainrecord.Record{}
	for _, rec := range records {
		all.Put(rec.Entries...)
	}
	for key, svc := range st.Services[cluster] {
		if Drained(svc.Annotations) != nil {
			all.Put(drainrecord.Entry{Key: key})
		}
	}
	keys := make([]routing.Key, len(all.Entries))
	for n, e := range all.Entries {
		keys[n] = e.Key
	}
	return keys
}

// entry finds a Service in the records, the oldest first.
func entry(records []*drainrecord.Record, key routing.Key) (*drainrecord.Record, *drainrecord.Entry) {
	for _, rec := range records {
		if e := rec.Find(key); e != nil {
			return rec, e
		}
	}
	return nil, nil
}

// Unknown reports whether nobody can tell that the cluster of a record was rebuilt: its UID may not be read, now or when it was drained.
func Unknown(m *clusters.Member, records []*drainrecord.Record) bool {
	return slices.ContainsFunc(records, func(rec *drainrecord.Record) bool { return rec.ClusterUID == "" || m.UID == "" })
}

// rebuilt reports whether the cluster of a record is known to have been rebuilt since.
func rebuilt(m *clusters.Member, rec *drainrecord.Record) bool {
	return rec.ClusterUID != "" && m.UID != "" && rec.ClusterUID != m.UID
}

// Adopt makes a record of the cluster before it was rebuilt that of the cluster as it is now, for a drain that goes on with it. Entries of
// Services that are not there yet lose their UID: undrain waits for these, and not for what is deleted from now on.
func Adopt(st *meshstate.State, m *clusters.Member, rec *drainrecord.Record) {
	if !rebuilt(m, rec) {
		return
	}
	rec.ClusterUID, rec.Entries = m.UID, slices.Clone(rec.Entries)
	for n, e := range rec.Entries {
		if st.Services[m.Name][e.Key] == nil {
			rec.Entries[n].UID = ""
		}
	}
}

// restore plans one Service; left: it is not put back, or not all of it. It returns nil for a Service that is not meant.
func restore(m *clusters.Member, svc *corev1.Service, e *drainrecord.Entry) (item *annotate.Item, left bool) {
	now, mark := former(svc), Drained(svc.Annotations)
	plan := func(want *string) *annotate.Item {
		return annotate.NewItem(m, svc, annotate.Values{cilium.AnnotationShared: want, AnnotationDrained: nil})
	}
	leave := func(format string, args ...any) (*annotate.Item, bool) {
		item := annotate.NewItem(m, svc, annotate.Values{cilium.AnnotationShared: now})
		item.Result, item.Message = v1alpha1.ResultSkipped, fmt.Sprintf(format, args...)
		return item, true
	}
	changed := cilium.AnnotationShared + " is now " + annotate.Show(now) + ": somebody changed it since; it is left as it is"
	switch {
	case mark != nil && mark.Cluster == m.Name, mark != nil && mark.Cluster == "" && e != nil:
		want := mark.Shared
		if e != nil { // the record is of this drain; a mark out of a backup may be of an earlier one
			want = e.Former
		}
		switch {
		case now != nil && *now == unshared, annotate.Same(now, want):
			return plan(want), false
		}
		item := plan(now)
		item.Message = changed + ", only the mark of the drain is removed"
		return item, true
	case e == nil && mark.Cluster == "":
		share := commandline.Plugin(Display, clusters.CommandMesh([]*clusters.Member{m}), svc.Namespace, "share", svc.Name, "--in", m.Name, "--force-conflicts")
		return leave("its annotation %s cannot be read and no record tells the former value; to remove that annotation and share the Service, run: %s", AnnotationDrained, share)
	case e == nil:
		item, _ := leave("its annotation %s is that of a drain of cluster %s; it is left as it is", AnnotationDrained, mark.Cluster)
		return item, false
	case annotate.Same(now, e.Former):
		return plan(now), false
	case e.UID == svc.UID:
		return leave("%s", changed)
	case now != nil && *now == unshared:
		return plan(e.Former), false
	case cilium.Shared(svc.Annotations).Value:
		item := annotate.NewItem(m, svc, annotate.Values{cilium.AnnotationShared: now})
		item.Message = "it was made anew since, and is shared"
		return item, false
	}
	return leave("it was made anew since: %s is now %s; it is left as it is", cilium.AnnotationShared, annotate.Show(now))
}

// Marked names the Services of a cluster that bear the mark of a drain of it.
func Marked(st *meshstate.State, cluster string) []string {
	var out []string
	for key, svc := range st.Services[cluster] {
		if mark := Drained(svc.Annotations); mark != nil && mark.Cluster == cluster {
			out = append(out, key.Namespace+"/"+key.Name)
		}
	}
	slices.Sort(out)
	return out
}

// Homeless names the clusters that hold a record, as the marks on the Services say, and in which it was not looked for.
func Homeless(st *meshstate.State, cluster string, searched []string) []string {
	var out []string
	for _, svc := range st.Services[cluster] {
		mark := Drained(svc.Annotations)
		if mark != nil && mark.Cluster == cluster && mark.Record != "" && !slices.Contains(searched, mark.Record) && !slices.Contains(out, mark.Record) {
			out = append(out, mark.Record)
		}
	}
	slices.Sort(out)
	return out
}
