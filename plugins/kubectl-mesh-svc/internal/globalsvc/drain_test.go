package globalsvc

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/cilium"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/clusters"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/failure"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/meshstate"
	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-svc/internal/drainrecord"
)

// one is a Service in one cluster of a test's mesh.
type one struct {
	ann       map[string]string
	ready     int
	terminate int // endpoints that are terminating and still serve
	edit      func(*corev1.Service)
}

var global = map[string]string{cilium.AnnotationGlobal: "true"}

// annotate returns annotations with more: "key=value".
func withAnnotations(ann map[string]string, more ...string) map[string]string {
	out := map[string]string{}
	for k, v := range ann {
		out[k] = v
	}
	for _, m := range more {
		k, v, _ := strings.Cut(m, "=")
		out[k] = v
	}
	return out
}

// mesh builds the state of Service shop/cart in us, eu and ap; a cluster that is not named lacks it.
func mesh(version string, in map[string]one) (*meshstate.State, *clusters.Member) {
	st := &meshstate.State{Errors: map[string]*failure.Error{}, Services: map[string]map[routing.Key]*corev1.Service{}}
	var us *clusters.Member
	for n, name := range []string{"us", "eu", "ap"} {
		m := &clusters.Member{Name: name, Context: "kind-" + name, UID: "uid-" + name}
		if name == "us" {
			us = m
		}
		c := routing.Cluster{Name: name, Version: cilium.ParseVersion(version), DefaultGlobalNamespace: true, Services: map[routing.Key]*routing.Service{}}
		st.Services[name] = map[routing.Key]*corev1.Service{}
		if o, ok := in[name]; ok {
			svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart", UID: "u1", Annotations: o.ann},
				Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, ClusterIPs: []string{"172.20.1.1"}, Ports: []corev1.ServicePort{{Name: "http", Port: 80}}}}
			if o.edit != nil {
				o.edit(svc)
			}
			key := routing.Key{Namespace: svc.Namespace, Name: svc.Name}
			plain := routing.FromService(svc, nil)
			for i := range o.ready + o.terminate {
				plain.Endpoints = append(plain.Endpoints, routing.Endpoint{Addr: netip.MustParseAddr(fmt.Sprintf("10.%d.0.%d", n+1, i+1)),
					Ports: []routing.Port{{Name: "http", Protocol: "TCP", Port: 80}}, Ready: i < o.ready, Serving: true, Terminating: i >= o.ready})
			}
			st.Services[name][key], c.Services[key] = svc, plain
		}
		st.Clusters = append(st.Clusters, c)
	}
	return st, us
}

var cart = routing.Key{Namespace: "shop", Name: "cart"}

func mark(former *string) string {
	return AnnotationDrained + "=" + *Mark{Drain: "d", Cluster: "us", Record: "eu", Shared: former}.value()
}

func TestDrain(t *testing.T) {
	t.Parallel()
	shared, unshared := cilium.AnnotationShared+"=", cilium.AnnotationShared+"=false"
	ready := one{ann: global, ready: 1}
	cases := map[string]struct {
		in      map[string]one
		version string
		want    string // result and message, "" for a Service that is not meant
		former  string // as it goes into the record
	}{
		"shared by default":       {map[string]one{"us": ready, "eu": ready}, "", "planned", "<absent>"},
		"shared by annotation":    {map[string]one{"us": {ann: withAnnotations(global, shared+"TRUE"), ready: 1}, "eu": ready}, "", "planned", `"TRUE"`},
		"shared by an alias":      {map[string]one{"us": {ann: map[string]string{cilium.AnnotationGlobalAlias: "true", cilium.AnnotationSharedAlias: "true"}, ready: 1}, "eu": ready}, "", "planned", "<absent>"},
		"not global":              {map[string]one{"us": {ready: 1}, "eu": ready}, "", "", ""},
		"not shared":              {map[string]one{"us": {ann: withAnnotations(global, unshared), ready: 1}, "eu": ready}, "", "", ""},
		"junk is not shared":      {map[string]one{"us": {ann: withAnnotations(global, shared+"yes"), ready: 1}, "eu": ready}, "", "", ""},
		"drained already":         {map[string]one{"us": {ann: withAnnotations(global, unshared, mark(ptr.To("true"))), ready: 1}, "eu": ready}, "", "unchanged already drained", `"true"`},
		"drained, shared again":   {map[string]one{"us": {ann: withAnnotations(global, shared+"true", mark(nil)), ready: 1}, "eu": ready}, "", "planned", `"true"`},
		"the mark of another":     {map[string]one{"us": {ann: withAnnotations(global, unshared, AnnotationDrained+`={"cluster":"eu"}`), ready: 1}, "eu": ready}, "", "", ""},
		"nobody uses it":          {map[string]one{"us": ready}, "", "planned", "<absent>"},
		"nobody has anything":     {map[string]one{"us": {ann: global}, "eu": {ann: global}}, "", "planned", "<absent>"},
		"the last one":            {map[string]one{"us": ready, "eu": {ann: global}, "ap": {ann: global}}, "", "refused clients in eu, ap would be left without a ready endpoint", ""},
		"one client loses":        {map[string]one{"us": ready, "eu": {ann: withAnnotations(global, unshared), ready: 1}, "ap": {ann: global}}, "", "refused clients in ap would be left without a ready endpoint", ""},
		"a client that is local":  {map[string]one{"us": ready, "eu": {}, "ap": ready}, "", "planned", "<absent>"},
		"what is left terminates": {map[string]one{"us": ready, "eu": {ann: global, terminate: 1}}, "", "refused clients in eu would be left without a ready endpoint", ""},
		"it terminates itself":    {map[string]one{"us": {ann: global, terminate: 1}, "eu": {ann: global}}, "", "planned", "<absent>"},
		"affinity drops remotes":  {map[string]one{"us": ready, "eu": {ann: withAnnotations(global, cilium.AnnotationAffinity+"=none")}, "ap": ready}, "1.18.11", "planned", "<absent>"},
		"some versions lose": {map[string]one{"us": ready, "eu": {ann: withAnnotations(global, cilium.AnnotationAffinity+"=none")}}, "unknown",
			"refused clients in eu would be left without a ready endpoint", ""},
		"another port name": {map[string]one{"us": ready, "eu": {ann: global, ready: 1, edit: func(s *corev1.Service) {
			s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Name: "", Port: 81})
		}}}, "", "planned", "<absent>"},
		"derived": {map[string]one{"us": {ann: global, ready: 1, edit: func(s *corev1.Service) { s.Name = "derived-abc" }}}, "",
			"refused Cilium derives it from a ServiceImport and overwrites its annotations; set them in the ServiceExport (spec.exportedAnnotations)", ""},
		"derived, without pods": {map[string]one{"us": {ann: global, edit: func(s *corev1.Service) { s.Name = "derived-abc" }}}, "",
			"skipped Cilium derives it from a ServiceImport and overwrites its annotations; set them in the ServiceExport (spec.exportedAnnotations)", ""},
		"external name": {map[string]one{"us": {ann: global, edit: func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeExternalName }}}, "",
			"skipped it is an ExternalName Service and has no endpoints", ""},
		"another proxy": {map[string]one{"us": {ann: global, ready: 1, edit: func(s *corev1.Service) { s.Labels = map[string]string{cilium.LabelServiceProxyName: "x"} }}, "eu": {ann: global}}, "",
			"skipped its label service.kubernetes.io/service-proxy-name makes Cilium ignore it", ""},
		"another proxy, no name": {map[string]one{"us": {ann: global, ready: 1, edit: func(s *corev1.Service) { s.Labels = map[string]string{cilium.LabelServiceProxyName: ""} }}, "eu": {ann: global}}, "",
			"skipped its label service.kubernetes.io/service-proxy-name makes Cilium ignore it", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.version == "" {
				c.version = "1.20.2"
			}
			st, us := mesh(c.version, c.in)
			rec := &drainrecord.Record{ID: "new"}
			p := Drain(st, us, rec, "eu")
			got, formers := "", ""
			for _, i := range p.Items {
				got = strings.TrimSpace(i.Result + " " + i.Message)
			}
			for _, e := range Entries(st, p, rec) {
				formers = show(e.Former)
			}
			if d := cmp.Diff([]string{c.want, c.former}, []string{got, formers}); d != "" {
				t.Error(d)
			}
		})
	}
}

func show(v *string) string {
	if v == nil {
		return "<absent>"
	}
	return fmt.Sprintf("%q", *v)
}

// TestDrainWithoutKnowing: what a cluster that is not read may have is not taken for nothing.
func TestDrainWithoutKnowing(t *testing.T) {
	t.Parallel()
	in := map[string]one{"us": {ann: global, ready: 1}, "eu": {ann: global}}
	for name, lack := range map[string]func(*meshstate.State, *clusters.Member){
		"a gap": func(st *meshstate.State, _ *clusters.Member) {
			st.Clusters[2] = routing.Cluster{Name: "ap", Gap: "timeout"}
		},
		"a peer that is not read": func(_ *meshstate.State, us *clusters.Member) { us.Peers = []string{"eu", "ap", "sa"} },
	} {
		st, us := mesh("1.20.2", in)
		lack(st, us)
		p := Drain(st, us, &drainrecord.Record{ID: "new"}, "eu")
		if got, want := p.Items[0].Message, "clients in eu would be left without a ready endpoint, unless a cluster that could not be read has one"; got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// TestDrainWritesTheMarkWithTheValue: one patch holds both, and the alias, which the new key goes before, is not touched.
func TestDrainWritesTheMarkWithTheValue(t *testing.T) {
	t.Parallel()
	st, us := mesh("1.20.2", map[string]one{"us": {ann: withAnnotations(global, cilium.AnnotationSharedAlias+"=true"), ready: 1}, "eu": {ann: global, ready: 1}})
	p := Drain(st, us, &drainrecord.Record{ID: "new"}, "eu")
	want := map[string]*string{cilium.AnnotationShared: ptr.To("false"), AnnotationDrained: ptr.To(`{"drain":"new","cluster":"us","record":"eu","shared":null}`)}
	if d := cmp.Diff(want, map[string]*string(p.Items[0].After)); d != "" {
		t.Error(d)
	}
	svc := st.Services["us"][cart].DeepCopy()
	for k, v := range p.Items[0].After {
		svc.Annotations[k] = *v
	}
	if cilium.Shared(svc.Annotations).Value {
		t.Error("the alias still shares it")
	}
	if d := cmp.Diff(&Mark{Drain: "new", Cluster: "us", Record: "eu"}, Drained(svc.Annotations)); d != "" {
		t.Error(d)
	}
}

// TestPlanOnADrainedService: what another verb writes must neither bring a drained Service back silently, nor be undone by undrain.
func TestPlanOnADrainedService(t *testing.T) {
	t.Parallel()
	globalize := func(shared string) Edit {
		e, err := Globalize("", shared)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	drained := withAnnotations(global, cilium.AnnotationShared+"=false", mark(nil))
	since := withAnnotations(global, cilium.AnnotationShared+"=true", mark(nil))
	cases := map[string]struct {
		edit  Edit
		ann   map[string]string
		force bool
		want  string // result, what shared will be, whether the mark stays
		notes int
	}{
		"share":                        {Share(), drained, false, "refused", 0},
		"unshare":                      {Unshare(), drained, false, "refused", 0},
		"globalize --shared=true":      {globalize("true"), drained, false, "refused", 0},
		"globalize --shared=false":     {globalize("false"), drained, false, "refused", 0},
		"a mark of no meaning":         {Share(), withAnnotations(drained, AnnotationDrained+"=?"), false, "refused", 0},
		"share, forced":                {Share(), drained, true, "planned <absent> unmarked", 0},
		"unshare, forced":              {Unshare(), drained, true, `planned "false" unmarked`, 0},
		"globalize, forced":            {globalize("true"), drained, true, "planned <absent> unmarked", 0},
		"globalize alone":              {globalize(""), drained, false, `unchanged "false" marked`, 1},
		"globalize alone, local since": {globalize(""), withAnnotations(drained, cilium.AnnotationGlobal+"=no"), false, `planned "false" marked`, 1},
		"unglobalize":                  {Unglobalize(), drained, false, `planned "false" marked`, 0},
		"somebody shared it since":     {Share(), since, false, "planned <absent> unmarked", 0},
		"unshare what is shared since": {Unshare(), since, false, `planned "false" unmarked`, 0},
		"the mark of another":          {Share(), withAnnotations(global, cilium.AnnotationShared+"=false", AnnotationDrained+`={"cluster":"eu"}`), false, "planned <absent> unmarked", 0},
		"not drained":                  {Unshare(), global, false, `planned "false" unmarked`, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st, us := mesh("1.20.2", map[string]one{"us": {ann: c.ann, ready: 1}, "eu": {ann: global, ready: 1}})
			p, err := Plan(st, []*clusters.Member{us}, Request{Edit: c.edit, Namespace: "shop", Names: []string{"cart"}, Force: c.force})
			if err != nil {
				t.Fatal(err)
			}
			i := p.Items[0]
			got := i.Result
			if got != v1alpha1.ResultRefused {
				after := annotated(routing.FromService(st.Services["us"][cart], nil), i.After).Annotations
				word := "unmarked"
				if Drained(after) != nil {
					word = "marked"
				}
				shared := "<absent>"
				if v, ok := after[cilium.AnnotationShared]; ok {
					shared = fmt.Sprintf("%q", v)
				}
				got = fmt.Sprintf("%s %s %s", got, shared, word)
			} else if !strings.Contains(i.Message, "kubectl mesh-svc undrain us") || !strings.Contains(i.Message, "--force-conflicts") {
				t.Errorf("the message does not say how to proceed: %s", i.Message)
			}
			if got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if notes := StillDrained(st, p, Request{}); len(notes) != c.notes || c.notes > 0 && !strings.HasPrefix(notes[0], "drained in us: shop/cart; ") {
				t.Errorf("notes %q", notes)
			}
		})
	}
	// Of a bulk request, what is not meant is skipped and not refused.
	st, us := mesh("1.20.2", map[string]one{"us": {ann: drained, ready: 1}, "eu": {ann: global, ready: 1}})
	selector, err := labels.Parse("app=other")
	if err != nil {
		t.Fatal(err)
	}
	p, err := Plan(st, []*clusters.Member{us}, Request{Edit: Share(), Bulk: true, Selector: selector})
	if err != nil || results(p) != "us/cart:skipped" {
		t.Errorf("%v %s", err, results(p))
	}
}

func TestShifts(t *testing.T) {
	t.Parallel()
	// Four endpoints: us 2, eu 1, ap 1. Clients in ap prefer their own and see no change; those in eu lose half.
	st, us := mesh("1.20.2", map[string]one{"us": {ann: global, ready: 2}, "eu": {ann: global, ready: 1}, "ap": {ann: withAnnotations(global, cilium.AnnotationAffinity+"=local"), ready: 1}})
	p := Drain(st, us, &drainrecord.Record{ID: "new"}, "eu")
	want := []v1alpha1.Shift{{Namespace: "shop", Name: "cart", Client: "eu", Port: v1alpha1.Port{Name: "http", Protocol: "TCP", Port: 80}, IPFamily: "IPv4", Complete: true,
		Shares: []v1alpha1.ShareShift{{Cluster: "us", Before: 0.5, After: 0}, {Cluster: "eu", Before: 0.25, After: 0.5}, {Cluster: "ap", Before: 0.25, After: 0.5}}}}
	if d := cmp.Diff(want, Shifts(st, p, "us")); d != "" {
		t.Error(d)
	}
	if st.Services["us"][cart].Annotations[cilium.AnnotationShared] != "" || !cilium.Shared(st.Find("us").Services[cart].Annotations).Value {
		t.Error("predicting changed what was read")
	}
}

// TestShiftsOfUnknownVersions: each set of rules that may hold has its own shift.
func TestShiftsOfUnknownVersions(t *testing.T) {
	t.Parallel()
	st, us := mesh("unknown", map[string]one{"us": {ann: global, ready: 1}, "eu": {ann: withAnnotations(global, cilium.AnnotationAffinity+"=none"), ready: 1}})
	p := Drain(st, us, &drainrecord.Record{ID: "new"}, "eu")
	var got []string
	for _, s := range Shifts(st, p, "us") {
		got = append(got, fmt.Sprint(s.Versions, s.Shares))
	}
	want := []string{"[1.20 1.19.6 and later 1.19 1.15 to 1.17] [{us 0.5 0} {eu 0.5 1}]"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestUncertain(t *testing.T) {
	t.Parallel()
	st, us := mesh("1.20.2", nil)
	us.Peers = []string{"ap", "eu", "sa"}
	st.Clusters[1].Gap = "timeout"
	if d := cmp.Diff([]string{"eu could not be read (timeout)", "sa is a peer, but was not read"}, Uncertain(st, us)); d != "" {
		t.Error(d)
	}
}

func TestHomeless(t *testing.T) {
	t.Parallel()
	st, _ := mesh("1.20.2", map[string]one{"us": {ann: withAnnotations(global, cilium.AnnotationShared+"=false", mark(nil))}})
	if d := cmp.Diff([]string{"eu"}, Homeless(st, "us", []string{"ap"})); d != "" {
		t.Error(d)
	}
	if got := Homeless(st, "us", []string{"eu"}); len(got) != 0 {
		t.Errorf("it was looked for in eu: %v", got)
	}
}
