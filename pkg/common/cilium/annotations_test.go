package cilium

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGlobal(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		ann  map[string]string
		want Bool
	}{
		"absent":             {nil, Bool{false, SourceDefault, "", ""}},
		"true":               {map[string]string{AnnotationGlobal: "true"}, Bool{true, SourceKey, AnnotationGlobal, "true"}},
		"any case":           {map[string]string{AnnotationGlobal: "TrUe"}, Bool{true, SourceKey, AnnotationGlobal, "TrUe"}},
		"one is not true":    {map[string]string{AnnotationGlobal: "1"}, Bool{false, SourceKey, AnnotationGlobal, "1"}},
		"yes is not true":    {map[string]string{AnnotationGlobal: "yes"}, Bool{false, SourceKey, AnnotationGlobal, "yes"}},
		"not trimmed":        {map[string]string{AnnotationGlobal: " true "}, Bool{false, SourceKey, AnnotationGlobal, " true "}},
		"empty":              {map[string]string{AnnotationGlobal: ""}, Bool{false, SourceKey, AnnotationGlobal, ""}},
		"alias":              {map[string]string{AnnotationGlobalAlias: "true"}, Bool{true, SourceAlias, AnnotationGlobalAlias, "true"}},
		"new key beats it":   {map[string]string{AnnotationGlobal: "false", AnnotationGlobalAlias: "true"}, Bool{false, SourceKey, AnnotationGlobal, "false"}},
		"empty key beats it": {map[string]string{AnnotationGlobal: "", AnnotationGlobalAlias: "true"}, Bool{false, SourceKey, AnnotationGlobal, ""}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if d := cmp.Diff(c.want, Global(c.ann)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestShared(t *testing.T) {
	t.Parallel()
	global := func(kv ...string) map[string]string {
		m := map[string]string{AnnotationGlobal: "true"}
		for i := 0; i < len(kv); i += 2 {
			m[kv[i]] = kv[i+1]
		}
		return m
	}
	cases := map[string]struct {
		ann  map[string]string
		want Bool
	}{
		"not global":              {nil, Bool{false, SourceDefault, "", ""}},
		"global":                  {global(), Bool{true, SourceDefault, "", ""}},
		"false":                   {global(AnnotationShared, "false"), Bool{false, SourceKey, AnnotationShared, "false"}},
		"junk is not shared":      {global(AnnotationShared, "yes"), Bool{false, SourceKey, AnnotationShared, "yes"}},
		"empty is not shared":     {global(AnnotationShared, ""), Bool{false, SourceKey, AnnotationShared, ""}},
		"alias":                   {global(AnnotationSharedAlias, "False"), Bool{false, SourceAlias, AnnotationSharedAlias, "False"}},
		"ignored when not global": {map[string]string{AnnotationShared: "true"}, Bool{false, SourceIgnored, AnnotationShared, "true"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if d := cmp.Diff(c.want, Shared(c.ann)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestAffinityOf(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		value   string // "-" is absent
		version string
		want    Affinity
	}{
		"absent":             {"-", "1.18.11", AffinityNone},
		"empty":              {"", "1.18.11", AffinityNone},
		"local":              {"local", "1.20.2", AffinityLocal},
		"LOCAL":              {"LOCAL", "1.18.11", AffinityLocal},
		"remote":             {"Remote", "1.16.19", AffinityRemote},
		"none on 1.17":       {"none", "1.17.17", AffinityNone},
		"none on 1.18":       {"none", "1.18.11", AffinityDropRemote},
		"none on 1.19.5":     {"none", "1.19.5", AffinityDropRemote},
		"none on 1.19.6":     {"none", "1.19.6", AffinityNone},
		"none on 1.20":       {"none", "1.20.2", AffinityNone},
		"junk on 1.16":       {"cluster-a", "1.16.19", AffinityNone},
		"junk on 1.19.5":     {"cluster-a", "1.19.5", AffinityDropRemote},
		"blank is not local": {"local ", "1.18.11", AffinityDropRemote},
		"junk on 1.20":       {"local ", "1.20.2", AffinityNone},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ann := map[string]string{AnnotationGlobal: "true"}
			if c.value != "-" {
				ann[AnnotationAffinity] = c.value
			}
			rules := RulesFor(ParseVersion(c.version))
			if len(rules) != 1 {
				t.Fatalf("%d sets of rules for %s", len(rules), c.version)
			}
			if got := AffinityOf(ann, rules[0].Rules).Value; got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			delete(ann, AnnotationGlobal)
			if got := AffinityOf(ann, rules[0].Rules).Value; got != AffinityNone {
				t.Errorf("not global: got %q, want none", got)
			}
		})
	}
}

func TestNamespaceGlobal(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		value string
		def   bool
		want  bool
	}{{"-", true, true}, {"-", false, false}, {"true", false, true}, {"TRUE", false, true}, {"false", true, false}, {"yes", true, false}, {"", true, false}} {
		ann := map[string]string{}
		if c.value != "-" {
			ann[AnnotationNamespaceGlobal] = c.value
		}
		if got := NamespaceGlobal(ann, c.def).Value; got != c.want {
			t.Errorf("%q with default %v: got %v", c.value, c.def, got)
		}
	}
}

func FuzzAnnotations(f *testing.F) {
	f.Add("true", "", "local", true)
	f.Add("FALSE", "yes", "none", false)
	f.Fuzz(func(t *testing.T, global, shared, affinity string, alias bool) {
		keys := []string{AnnotationGlobal, AnnotationShared, AnnotationAffinity}
		if alias {
			keys = []string{AnnotationGlobalAlias, AnnotationSharedAlias, AnnotationAffinityAlias}
		}
		ann := map[string]string{keys[0]: global, keys[1]: shared, keys[2]: affinity}
		g, s := Global(ann), Shared(ann)
		if s.Value && !g.Value {
			t.Error("shared without being global")
		}
		for _, r := range RulesFor(Version{}) {
			if a := AffinityOf(ann, r.Rules); a.Value != AffinityNone && !g.Value {
				t.Errorf("affinity %q without being global", a.Value)
			}
		}
	})
}

func TestSyncsSlices(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ann      string // "global sync=word", global under its key
		headless bool
		on       bool
		version  string
		want     SyncBar
	}{
		"headless":             {"global", true, true, "1.20.2", ""},
		"off":                  {"global", true, false, "1.20.2", SyncOff},
		"not asked":            {"global", false, true, "1.20.2", SyncNotAsked},
		"asked":                {"global sync=True", false, true, "1.16.0", ""},
		"forbidden":            {"global sync=FALSE", true, true, "1.20.2", SyncForbidden},
		"junk":                 {"global sync=yes", true, true, "1.20.2", SyncJunk},
		"empty":                {"global sync=", true, true, "1.20.2", SyncJunk},
		"by alias":             {"alias", true, true, "1.20.2", SyncAliasOnly},
		"1.15, although set":   {"global", true, true, "1.15.19", SyncTooOld},
		"1.15":                 {"global", true, false, "1.15.19", SyncTooOld},
		"who knows, and it is": {"global", true, true, "x", ""},
		"who knows, off":       {"global", true, false, "x", SyncOff},
	} {
		ann := map[string]string{}
		for _, word := range strings.Fields(c.ann) {
			switch k, v, _ := strings.Cut(word, "="); k {
			case "global":
				ann[AnnotationGlobal] = "true"
			case "alias":
				ann[AnnotationGlobalAlias] = "true"
			case "sync":
				ann[AnnotationSyncEndpointSlices] = v
			}
		}
		if got := SyncsSlices(ann, c.headless, c.on, ParseVersion(c.version)); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestSliceWeight(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]struct {
		weight   uint16
		weighted bool
	}{"-": {}, "": {}, "0": {0, true}, "00": {0, true}, "7": {7, true}, "65535": {65535, true}, "65536": {}, "-1": {}, "+1": {}, "1.5": {}, "0x1": {}, "1_0": {}} {
		ann := map[string]string{AnnotationWeight: value}
		if value == "-" {
			ann = nil
		}
		if weight, weighted := SliceWeight(ann); weighted != want.weighted || weighted && weight != want.weight {
			t.Errorf("%q: %d, %v", value, weight, weighted)
		}
	}
}

func TestIgnored(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		label, option string // "-" for no label
		want          bool
	}{
		"neither":               {"-", "", false},
		"label":                 {"other", "", true},
		"empty label":           {"", "", true},
		"option":                {"-", "cilium", true},
		"option and its label":  {"cilium", "cilium", false},
		"option, another label": {"other", "cilium", true},
		"option, empty label":   {"", "cilium", true},
		"compared exactly":      {"Cilium", "cilium", true},
	} {
		labels := map[string]string{}
		if c.label != "-" {
			labels[LabelServiceProxyName] = c.label
		}
		if got := Ignored(labels, c.option); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestClusterIPHidden(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		value    string // "-" for no annotation
		headless bool
		version  string
		want     bool
	}{
		"none":               {"-", false, "1.20.2", false},
		"NodePort":           {"NodePort", false, "1.20.2", true},
		"LoadBalancer":       {"LoadBalancer", false, "1.20.2", true},
		"ClusterIP":          {"ClusterIP", false, "1.20.2", false},
		"compared exactly":   {"loadbalancer", false, "1.20.2", false},
		"not trimmed":        {"NodePort ", false, "1.20.2", false},
		"empty":              {"", false, "1.20.2", false},
		"not a frontend":     {"ExternalName", false, "1.20.2", false},
		"headless":           {"NodePort", true, "1.20.2", false},
		"1.17":               {"NodePort", false, "1.17.0", true},
		"1.16":               {"NodePort", false, "1.16.19", false},
		"who knows":          {"NodePort", false, "x", true},
		"a version to come":  {"NodePort", false, "2.0.0", true},
		"who knows, no type": {"-", false, "x", false},
	} {
		ann := map[string]string{}
		if c.value != "-" {
			ann[AnnotationType] = c.value
		}
		if got := ClusterIPHidden(ann, c.headless, ParseVersion(c.version)); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestPrefersNear: values of the older annotation, of the newer one and of trafficDistribution, "-" for none.
func TestPrefersNear(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]bool{
		"- - -":                         false,
		"Auto - -":                      true,
		"auto - -":                      true,
		"anything - -":                  true,
		"disabled - -":                  false,
		"Disabled - -":                  false,
		"DISABLED - -":                  true,
		"empty - -":                     false,
		"- Auto -":                      true,
		"- auto -":                      true,
		"- anything -":                  true,
		"- disabled -":                  false,
		"- Disabled -":                  false,
		"- DISABLED -":                  true,
		"- empty -":                     false,
		"disabled Auto -":               false,
		"empty Auto -":                  false,
		"Auto disabled -":               true,
		"- - PreferClose":               true,
		"- - PreferSameZone":            true,
		"- - PreferSameNode":            true,
		"- - preferclose":               false,
		"- - anything":                  false,
		"- - empty":                     false,
		"- Auto anything":               true,
		"disabled - anything":           false,
		"disabled disabled PreferClose": true,
	} {
		ann, distribution := map[string]string{}, (*string)(nil)
		for i, value := range strings.Fields(line) {
			switch value {
			case "-":
				continue
			case "empty":
				value = ""
			}
			switch i {
			case 0:
				ann[AnnotationTopologyHints] = value
			case 1:
				ann[AnnotationTopologyMode] = value
			default:
				distribution = &value
			}
		}
		if got := PrefersNear(ann, distribution, false); got != want {
			t.Errorf("%s: %v", line, got)
		}
		if PrefersNear(ann, distribution, true) {
			t.Errorf("%s, with internalTrafficPolicy Local", line)
		}
	}
}
