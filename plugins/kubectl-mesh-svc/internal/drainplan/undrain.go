package drainplan

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
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/plugin"
)

// Restore is what undrain does.
type Restore struct {
	*annotate.Plan
	// Left holds the Services that were changed or deleted since; they are not restored.
	Left []routing.Key
	// Missing holds the entries whose Services do not exist yet, of a cluster that was, or may have been, rebuilt.
	Missing []drainrecord.Entry
}

// Undrain plans to restore the values that the Services of a cluster had before it was drained.
//
// A Service with the cluster's mark is unchanged since the drain, or only its shared annotation was changed. On a Service without a mark, drain
// wrote nothing, or the mark was removed: it is left unchanged. If the Service was recreated because the cluster was rebuilt, only the
// record decides: if the Service has the value that drain wrote, it gets the previous value.
func Undrain(st *meshstate.State, m *clusters.Member, records []*drainrecord.Record) *Restore {
	r := &Restore{Plan: &annotate.Plan{Action: "undrain " + m.Name, Manager: plugin.FieldManager}}
	for _, rec := range records {
		r.Former = rec.Manager
	}
	for _, key := range restoreKeys(st, m.Name, records) {
		svc := st.Services[m.Name][key]
		rec, e := entry(records, key)
		if svc == nil {
			item := annotate.Absent(m, key.Namespace, key.Name)
			item.Message = "it was deleted since; there is nothing to restore"
			r.Left = append(r.Left, key)
			switch { // a Service without a mark is here because it has an entry
			case e.UID == "" || rebuilt(m, rec):
				item.Message = "the cluster was rebuilt, and the Service does not exist yet"
				r.Missing = append(r.Missing, *e)
			case RebuildUnknown(m, []*drainrecord.Record{rec}):
				item.Message = "the Service does not exist, and it cannot be determined whether the cluster was rebuilt"
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
		if drainrecord.MarkOn(svc.Annotations) != nil {
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

// RebuildUnknown reports whether it cannot be determined that the cluster of a record was rebuilt, because its UID could not be read, now or when it was drained.
func RebuildUnknown(m *clusters.Member, records []*drainrecord.Record) bool {
	return slices.ContainsFunc(records, func(rec *drainrecord.Record) bool { return rec.ClusterUID == "" || m.UID == "" })
}

// rebuilt reports whether the cluster of a record is known to have been rebuilt since.
func rebuilt(m *clusters.Member, rec *drainrecord.Record) bool {
	return rec.ClusterUID != "" && m.UID != "" && rec.ClusterUID != m.UID
}

// Adopt converts a record of the cluster before it was rebuilt into one of the present cluster, for a drain that continues it. Entries of
// Services that do not exist yet lose their UID: undrain waits for these, but not for Services that are deleted from now on.
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

// restore plans one Service. left: the Service is not restored, or not completely. It returns nil for a Service that undrain does not change.
func restore(m *clusters.Member, svc *corev1.Service, e *drainrecord.Entry) (item *annotate.Item, left bool) {
	now, mark := former(svc), drainrecord.MarkOn(svc.Annotations)
	plan := func(want *string) *annotate.Item {
		return annotate.NewItem(m, svc, annotate.Values{cilium.AnnotationShared: want, drainrecord.AnnotationDrained: nil})
	}
	leave := func(format string, args ...any) (*annotate.Item, bool) {
		item := annotate.NewItem(m, svc, annotate.Values{cilium.AnnotationShared: now})
		item.Result, item.Message = v1alpha1.ResultSkipped, fmt.Sprintf(format, args...)
		return item, true
	}
	changed := cilium.AnnotationShared + " is now " + annotate.Show(now) + ": it was changed since; it is left unchanged"
	switch {
	case mark != nil && mark.Cluster == m.Name, mark != nil && mark.Cluster == "" && e != nil:
		want := mark.Shared
		if e != nil { // the record is of this drain; a mark out of a backup may be of an earlier one
			want = e.Former
		}
		switch {
		case now != nil && *now == drainrecord.Unshared, annotate.Same(now, want):
			return plan(want), false
		}
		item := plan(now)
		item.Message = changed + ", only the annotation of the drain is removed"
		return item, true
	case e == nil && mark.Cluster == "":
		share := plugin.Command(commandline.MeshOf([]*clusters.Member{m}), svc.Namespace, "share", svc.Name, "--in", m.Name, "--force-conflicts")
		return leave("its annotation %s is not valid, and no record has the previous value; to remove that annotation and share the Service, run: %s", drainrecord.AnnotationDrained, share)
	case e == nil:
		item, _ := leave("its annotation %s belongs to a drain of cluster %s; it is left unchanged", drainrecord.AnnotationDrained, mark.Cluster)
		return item, false
	case annotate.Same(now, e.Former):
		return plan(now), false
	case e.UID == svc.UID:
		return leave("%s", changed)
	case now != nil && *now == drainrecord.Unshared:
		return plan(e.Former), false
	case cilium.Shared(svc.Annotations).Value:
		item := annotate.NewItem(m, svc, annotate.Values{cilium.AnnotationShared: now})
		item.Message = "it was recreated since, and is shared"
		return item, false
	}
	return leave("it was recreated since: %s is now %s; it is left unchanged", cilium.AnnotationShared, annotate.Show(now))
}

// MarkedServices names the Services of a cluster that bear the mark of a drain of it.
func MarkedServices(st *meshstate.State, cluster string) []string {
	var out []string
	for key, svc := range st.Services[cluster] {
		if mark := drainrecord.MarkOn(svc.Annotations); mark != nil && mark.Cluster == cluster {
			out = append(out, key.Namespace+"/"+key.Name)
		}
	}
	slices.Sort(out)
	return out
}

// Unsearched names the clusters that, according to the marks of the Services, hold a record but were not searched.
func Unsearched(st *meshstate.State, cluster string, searched []string) []string {
	var out []string
	for _, svc := range st.Services[cluster] {
		mark := drainrecord.MarkOn(svc.Annotations)
		if mark != nil && mark.Cluster == cluster && mark.Record != "" && !slices.Contains(searched, mark.Record) && !slices.Contains(out, mark.Record) {
			out = append(out, mark.Record)
		}
	}
	slices.Sort(out)
	return out
}
