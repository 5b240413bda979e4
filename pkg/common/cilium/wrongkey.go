package cilium

import (
	"slices"
	"strings"
)

// WrongKey is a key that Cilium does not read where it is, but that resembles one that Cilium reads.
type WrongKey struct {
	Key, Value string
	// Label says that the key is among the labels; Cilium reads annotations.
	Label bool
	// Meant is the annotation that Cilium reads, and On the kind of object on which it does.
	Meant string
	On    string
	// Now is the value that the same object has under Meant, or under its deprecated spelling: that one decides. It is nil if the object has none, and
	// if Cilium does not read Meant on this kind of object.
	Now *string
}

// Misplaced reports whether the key is spelt correctly, but is in the wrong place.
func (w WrongKey) Misplaced() bool { return w.Key == w.Meant }

// Place says what the key is on its object: a label or an annotation.
func (w WrongKey) Place() string {
	if w.Label {
		return "label"
	}
	return "annotation"
}

// The kinds of objects on which Cilium reads the annotations.
const (
	KindService   = "Service"
	KindNamespace = "Namespace"
	KindSlice     = "EndpointSlice"
)

// serviceKeys are the annotations of a Service about Cluster Mesh, with the words of each name without separators.
// The deprecated spellings differ by the word "service" only, which counts as a part of the prefix here.
var serviceKeys = []struct {
	key   string
	alias string
	names []string
}{
	{AnnotationGlobal, AnnotationGlobalAlias, []string{"global", "globalservice"}},
	{AnnotationShared, AnnotationSharedAlias, []string{"shared", "sharedservice"}},
	{AnnotationAffinity, AnnotationAffinityAlias, []string{"affinity", "serviceaffinity"}},
	{AnnotationSyncEndpointSlices, "", []string{"globalsyncendpointslices", "syncendpointslices"}},
}

// otherServiceKeys are the other annotations that Cilium reads on Services. Their names are common words, so that only
// one edit of the whole key, or the same name under the parts of the prefix in another order, counts as near.
// Source: pkg/annotation/k8s.go and operator/pkg/ciliumenvoyconfig/annotations.go (1.20.2, read).
var otherServiceKeys = []string{
	AnnotationL7, "service.cilium.io/lb-l7-algorithm", "service.cilium.io/lb-algorithm", "service.cilium.io/node",
	"service.cilium.io/node-selector", AnnotationType, "service.cilium.io/src-ranges-policy",
	"service.cilium.io/proxy-delegation", "service.cilium.io/forwarding-mode",
}

// prefixWords are the words of which the prefixes of Cilium's keys are made, and those that people take for them. A prefix
// with any other word, such as cilium.example.com, is somebody else's.
var prefixWords = []string{"service", "services", "svc", "io", "cilium", "com", "net", "org", "dev", "k8s", "mesh", "clustermesh", "multicluster", "cluster", "clusters", "endpointslice", "endpointslices", "namespace", "namespaces", "ns",
	"ingress", "gateway", "network", "policy", "lbipam", "ipam", "cni", "config", "annotation", "annotations"}

// WrongServiceKeys lists the keys of a Service that look like an annotation that Cilium reads, sorted.
func WrongServiceKeys(ann, labels map[string]string) []WrongKey {
	var out []WrongKey
	for key, value := range ann {
		if nearWeight(key) {
			out = append(out, WrongKey{Key: key, Value: value, Meant: AnnotationWeight, On: KindSlice})
			continue
		}
		if meant := nearServiceKey(key); meant != "" && !readsOnService(key) {
			out = append(out, WrongKey{Key: key, Value: value, Meant: meant, On: KindService})
		}
	}
	for key, value := range labels {
		if nearWeight(key) {
			out = append(out, WrongKey{Key: key, Value: value, Label: true, Meant: AnnotationWeight, On: KindSlice})
		} else if meant := nearServiceKey(key); meant != "" {
			out = append(out, WrongKey{Key: key, Value: value, Label: true, Meant: meant, On: KindService})
		}
	}
	return complete(out, ann, KindService)
}

// WrongNamespaceKeys lists the keys of a Namespace that look like an annotation that Cilium reads, sorted. A key with the word
// "service" means the Services in it, which Cilium does not read there; another one means AnnotationNamespaceGlobal.
func WrongNamespaceKeys(ann, labels map[string]string) []WrongKey {
	var out []WrongKey
	add := func(key, value string, label bool) {
		w := WrongKey{Key: key, Value: value, Label: label, Meant: nearServiceKey(key), On: KindService}
		if within1(strings.ToLower(key), AnnotationNamespaceGlobal) || w.Meant == AnnotationGlobal && !hasWord(key, "service") {
			w.Meant, w.On = AnnotationNamespaceGlobal, KindNamespace
		}
		if w.Meant != "" && (label || key != AnnotationNamespaceGlobal) {
			out = append(out, w)
		}
	}
	for key, value := range ann {
		add(key, value, false)
	}
	for key, value := range labels {
		add(key, value, true)
	}
	return complete(out, ann, KindNamespace)
}

// WrongSliceKeys lists the keys of an EndpointSlice that look like an annotation that Cilium reads, sorted. Of the labels only weights are listed:
// Kubernetes copies those of the Service.
func WrongSliceKeys(ann, labels map[string]string) []WrongKey {
	var out []WrongKey
	for key, value := range labels {
		if nearWeight(key) {
			out = append(out, WrongKey{Key: key, Value: value, Label: true, Meant: AnnotationWeight, On: KindSlice})
		}
	}
	for key, value := range ann {
		switch meant := nearServiceKey(key); {
		case key == AnnotationWeight:
		case nearWeight(key):
			out = append(out, WrongKey{Key: key, Value: value, Meant: AnnotationWeight, On: KindSlice})
		case meant != "":
			out = append(out, WrongKey{Key: key, Value: value, Meant: meant, On: KindService})
		}
	}
	return complete(out, ann, KindSlice)
}

// ValueOf returns the value of an annotation of a Service, under its deprecated spelling too.
func ValueOf(ann map[string]string, key string) (value string, ok bool) {
	if v, ok := ann[key]; ok {
		return v, true
	}
	for _, k := range serviceKeys {
		if k.key == key && k.alias != "" {
			value, ok = ann[k.alias]
		}
	}
	return value, ok
}

// complete sorts wrong keys of an object of a kind, and adds the values that decide in their place.
func complete(keys []WrongKey, ann map[string]string, kind string) []WrongKey {
	for i, w := range keys {
		if v, ok := ValueOf(ann, w.Meant); ok && w.On == kind {
			keys[i].Now = &v
		}
	}
	slices.SortFunc(keys, func(a, b WrongKey) int {
		if a.Label != b.Label {
			if a.Label {
				return 1
			}
			return -1
		}
		return strings.Compare(a.Key, b.Key)
	})
	return keys
}

// readsOnService reports whether Cilium reads exactly this annotation on Services.
func readsOnService(key string) bool {
	for _, k := range serviceKeys {
		if key == k.key || key == k.alias {
			return true
		}
	}
	return slices.Contains(otherServiceKeys, key)
}

// nearWeight reports whether a key is or looks like the annotation of an EndpointSlice.
func nearWeight(key string) bool {
	lower := strings.ToLower(key)
	if !mayNameCilium(lower) {
		return false
	}
	name, ok := withoutPrefix(lower)
	return within1(lower, AnnotationWeight) || ok && within1(name, "weight")
}

// nearServiceKey returns the annotation of a Service that a key is or looks like, "" for none.
func nearServiceKey(key string) string {
	lower := strings.ToLower(key)
	if !mayNameCilium(lower) {
		return ""
	}
	for _, k := range serviceKeys {
		if within1(lower, k.key) || k.alias != "" && within1(lower, k.alias) {
			return k.key
		}
	}
	for _, k := range otherServiceKeys {
		if within1(lower, k) {
			return k
		}
	}
	name, ok := withoutPrefix(lower)
	if !ok {
		return ""
	}
	for _, k := range serviceKeys {
		if slices.ContainsFunc(k.names, func(n string) bool { return within1(name, n) }) {
			return k.key
		}
	}
	for _, k := range otherServiceKeys {
		prefix, own, _ := strings.Cut(k, "/")
		if words := strings.Split(strings.TrimSuffix(lower, "/"+own), "."); strings.HasSuffix(lower, "/"+own) && sameWords(words, strings.Split(prefix, ".")) {
			return k
		}
	}
	return ""
}

// withoutPrefix returns what is left of a key without the words of Cilium's prefixes and without separators, and whether it
// has such a prefix at all: it names cilium, with at most one edit, and is a domain or has a slash.
func withoutPrefix(key string) (name string, ok bool) {
	var rest strings.Builder
	named, domain := false, strings.Contains(key, "/")
	for _, w := range words(key) {
		switch {
		case isWord(w, "cilium"):
			named = true
		case slices.ContainsFunc(prefixWords, func(p string) bool { return isWord(w, p) }):
			domain = domain || w == "io"
		default:
			rest.WriteString(w)
		}
	}
	return rest.String(), named && domain
}

// mayNameCilium sorts out nearly all keys of a cluster at little cost: one edit leaves a half of the name as it is, unless it
// swaps the two characters in the middle.
func mayNameCilium(key string) bool {
	return strings.Contains(key, "cil") || strings.Contains(key, "ium") || strings.Contains(key, "ciilum")
}

func words(key string) []string {
	return strings.FieldsFunc(strings.ToLower(key), func(r rune) bool { return r == '.' || r == '/' || r == '-' || r == '_' })
}

func hasWord(key, word string) bool {
	return slices.ContainsFunc(words(key), func(w string) bool { return isWord(w, word) || isWord(w, word+"s") })
}

// isWord reports whether w is a word, or one edit away from it where the word is long enough for that to mean anything.
func isWord(w, word string) bool {
	const longEnough = 6
	return w == word || len(word) >= longEnough && within1(w, word)
}

// sameWords reports whether two lists hold the same words in any order.
func sameWords(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

// within1 reports whether a becomes b by at most one edit: a character inserted, left out or replaced, or two neighbours swapped.
func within1(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(b)-len(a) > 1 {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	if i == len(a) {
		return true // equal, or b has one more character
	}
	if len(a) < len(b) {
		return a[i:] == b[i+1:]
	}
	swapped := i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
	return a[i+1:] == b[i+1:] || swapped
}
