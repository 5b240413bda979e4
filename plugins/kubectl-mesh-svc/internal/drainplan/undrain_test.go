package drainplan

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/drainrecord"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/meshtest"
)

func TestEntriesNeverRecordOurOwnFalse(t *testing.T) {
	t.Parallel()
	drained := meshtest.Annotations(meshtest.Global, cilium.AnnotationShared+"=false", meshtest.CartMark(ptr.To("of the mark")))
	for name, c := range map[string]struct {
		rec  *drainrecord.Record
		want string
	}{
		"the record is lost":         {&drainrecord.Record{}, `"of the mark"`},
		"the record has it":          {&drainrecord.Record{Entries: []drainrecord.Entry{{Key: meshtest.CartKey, UID: "u1"}}}, ""},
		"restored out of a backup":   {&drainrecord.Record{Entries: []drainrecord.Entry{{Key: meshtest.CartKey, UID: "u0"}}}, "<absent>"},
		"restored, it was explicit":  {&drainrecord.Record{Entries: []drainrecord.Entry{{Key: meshtest.CartKey, UID: "u0", Former: ptr.To("true")}}}, `"true"`},
		"another Service's is there": {&drainrecord.Record{Entries: []drainrecord.Entry{{Key: routing.Key{Namespace: "a", Name: "b"}}}}, `"of the mark"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st, us := meshtest.Carts("1.20.2", map[string]meshtest.Cart{"us": {Annotations: drained, Ready: 1}})
			got := ""
			for _, e := range Entries(st, Drain(st, us, c.rec, "eu"), c.rec) {
				got = show(e.Former)
				if e.UID != "u1" {
					t.Errorf("uid %s", e.UID)
				}
			}
			if got != c.want {
				t.Errorf("former %s, want %s", got, c.want)
			}
		})
	}
}

func TestUndrain(t *testing.T) {
	t.Parallel()
	const absent = "<absent>"
	type entry = drainrecord.Entry
	was := func(uid string, former *string) []entry {
		return []entry{{Key: meshtest.CartKey, UID: types.UID(uid), Former: former}}
	}
	ann := func(value, mark string) map[string]string {
		out := meshtest.Annotations(meshtest.Global)
		if value != absent {
			out[cilium.AnnotationShared] = value
		}
		if mark != "" {
			out[drainrecord.AnnotationDrained] = mark
		}
		return out
	}
	us := func(former string) string {
		m := drainrecord.Mark{Drain: "d", Cluster: "us", Record: "eu"}
		if former != absent {
			m.Shared = &former
		}
		return *m.Text()
	}
	cases := map[string]struct {
		entries []entry
		now     map[string]string // nil: there is no Service
		rebuilt bool
		want    string // result, the value of shared afterwards, and "left", "missing"
	}{
		"as drain left it":                {was("u1", nil), ann("false", us(absent)), false, "planned <absent>"},
		"as drain left it, explicit":      {was("u1", ptr.To("TRUE")), ann("false", us("TRUE")), false, `planned "TRUE"`},
		"the record is lost":              {nil, ann("false", us("true")), false, `planned "true"`},
		"the mark cannot be read":         {was("u1", ptr.To("true")), ann("false", "junk"), false, `planned "true"`},
		"neither can be read":             {nil, ann("false", "junk"), false, `skipped "false" left`},
		"restored by hand, with the mark": {was("u1", ptr.To("true")), ann("true", us("true")), false, `planned "true"`},
		"changed since":                   {was("u1", nil), ann("true", us(absent)), false, `planned "true" left`},
		"never written, or restored":      {was("u1", nil), ann(absent, ""), false, "unchanged <absent>"},
		"never written, changed since":    {was("u1", nil), ann("false", ""), false, `skipped "false" left`},
		"gone":                            {was("u1", nil), nil, false, "absent left"},
		"rebuilt, not there yet":          {was("u1", nil), nil, true, "absent left missing"},
		"rebuilt out of manifests":        {was("u0", ptr.To("TRUE")), ann(absent, ""), true, "unchanged <absent>"},
		"rebuilt out of the same ones":    {was("u0", nil), ann(absent, ""), true, "unchanged <absent>"},
		"rebuilt as it stood":             {was("u0", ptr.To("TRUE")), ann("false", ""), true, `planned "TRUE"`},
		"rebuilt as it stood, absent":     {was("u0", nil), ann("false", ""), true, "planned <absent>"},
		"rebuilt out of a backup":         {was("u0", ptr.To("TRUE")), ann("false", us("TRUE")), true, `planned "TRUE"`},
		"out of an older backup":          {was("u0", ptr.To("TRUE")), ann("false", us(absent)), true, `planned "TRUE"`},
		"rebuilt, junk":                   {was("u0", nil), ann("no", ""), true, `skipped "no" left`},
		"rebuilt, no longer global":       {was("u0", nil), map[string]string{cilium.AnnotationShared: "false"}, true, "planned <absent>"},
		"the mark of another cluster":     {nil, ann("false", `{"cluster":"eu","shared":null}`), false, `skipped "false"`},
		"no mark, no entry":               {nil, ann("false", ""), false, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := map[string]meshtest.Cart{"eu": {Annotations: meshtest.Global, Ready: 1}}
			if c.now != nil {
				in["us"] = meshtest.Cart{Annotations: c.now, Ready: 1}
			}
			st, us := meshtest.Carts("1.20.2", in)
			var records []*drainrecord.Record
			if c.entries != nil {
				rec := &drainrecord.Record{Cluster: "us", ClusterUID: "uid-us", State: drainrecord.Drained}
				if c.rebuilt {
					rec.ClusterUID = "uid-of-old"
				}
				rec.Put(c.entries...)
				records = append(records, rec)
			}
			r := Undrain(st, us, records)
			got := ""
			for _, i := range r.Items {
				got = i.Result
				if i.Result != v1alpha1.ResultAbsent {
					got += " " + show(i.After[cilium.AnnotationShared])
				}
				if v, ok := i.After[drainrecord.AnnotationDrained]; i.Result == v1alpha1.ResultPlanned && (!ok || v != nil) {
					t.Error("the mark stays")
				}
			}
			if len(r.Left) > 0 {
				got += " left"
			}
			if len(r.Missing) > 0 {
				got += " missing"
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestUndrainOfAnUnknownCluster: who may not read the UID of a cluster cannot tell a rebuilt one from another; the values are kept.
func TestUndrainOfAnUnknownCluster(t *testing.T) {
	t.Parallel()
	const unknown = "absent left missing; the Service does not exist, and it cannot be determined whether the cluster was rebuilt"
	for name, c := range map[string]struct{ then, now, entry, want string }{
		"the same cluster":                 {"uid-us", "uid-us", "u1", "absent left; it was deleted since; there is nothing to restore"},
		"another one":                      {"uid-of-old", "uid-us", "u1", "absent left missing; the cluster was rebuilt, and the Service does not exist yet"},
		"not known now":                    {"uid-us", "", "u1", unknown},
		"not known then":                   {"", "uid-us", "u1", unknown},
		"never known":                      {"", "", "u1", unknown},
		"of the former one, drained again": {"uid-us", "uid-us", "", "absent left missing; the cluster was rebuilt, and the Service does not exist yet"},
		"of the former one, not known now": {"uid-us", "", "", "absent left missing; the cluster was rebuilt, and the Service does not exist yet"},
	} {
		st, us := meshtest.Carts("1.20.2", map[string]meshtest.Cart{"eu": {Annotations: meshtest.Global, Ready: 1}})
		us.UID = c.now
		rec := &drainrecord.Record{Cluster: "us", ClusterUID: c.then, State: drainrecord.Drained}
		rec.Put(drainrecord.Entry{Key: meshtest.CartKey, UID: types.UID(c.entry), Former: ptr.To("TRUE")})
		r := Undrain(st, us, []*drainrecord.Record{rec})
		got := r.Items[0].Result + " left"
		if len(r.Missing) > 0 {
			got += " missing"
		}
		if got += "; " + r.Items[0].Message; got != c.want || len(r.Left) != 1 {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// TestAdopt: a record of the cluster before it was rebuilt becomes that of the cluster as it is, and knows which Services are not there yet.
func TestAdopt(t *testing.T) {
	t.Parallel()
	gone := routing.Key{Namespace: "shop", Name: "gone"}
	for name, c := range map[string]struct{ then, now, uid, entry string }{
		"the same":       {"uid-us", "uid-us", "uid-us", "u0"},
		"rebuilt":        {"uid-of-old", "uid-us", "uid-us", ""},
		"not known now":  {"uid-of-old", "", "uid-of-old", "u0"},
		"not known then": {"", "uid-us", "", "u0"},
	} {
		st, us := meshtest.Carts("1.20.2", map[string]meshtest.Cart{"us": {Annotations: meshtest.Global, Ready: 1}})
		us.UID = c.now
		rec := &drainrecord.Record{Cluster: "us", ClusterUID: c.then}
		rec.Put(drainrecord.Entry{Key: meshtest.CartKey, UID: "u0", Former: ptr.To("TRUE")}, drainrecord.Entry{Key: gone, UID: "u0", Former: ptr.To("True")})
		found := *rec
		Adopt(st, us, rec)
		want := []drainrecord.Entry{{Key: meshtest.CartKey, UID: "u0", Former: ptr.To("TRUE")}, {Key: gone, UID: types.UID(c.entry), Former: ptr.To("True")}}
		if d := cmp.Diff(want, rec.Entries); d != "" || rec.ClusterUID != c.uid {
			t.Errorf("%s: %s %s", name, rec.ClusterUID, d)
		}
		if found.Entries[1].UID != "u0" {
			t.Errorf("%s: what was found is changed too", name)
		}
	}
}
