package cilium

import (
	"reflect"
	"strings"
	"testing"
)

func FuzzVersion(f *testing.F) {
	for _, s := range []string{"v1.18.11", "1.20.0-rc.1", "quay.io/cilium/cilium:v1.18.11@sha256:c785", "registry:5000/mirror/cilium", "", "1.2.3+x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v := ParseVersion(s)
		if v.Known() && ParseVersion(v.String()) != v {
			t.Errorf("%q is read as %s, and that as %s", s, v, ParseVersion(v.String()))
		}
		if v.Known() && VersionFromImage("registry:5000/cilium:"+v.String()) != v {
			t.Errorf("%s is not read back from an image", v)
		}
		if w := VersionFromImage(s); w.Known() && !strings.Contains(s, ":") {
			t.Errorf("%q has no tag and is read as %s", s, w)
		}
		if n := len(RulesFor(v)); (n == 1) != v.Known() {
			t.Errorf("%d sets of rules for version %s", n, v)
		}
	})
}

func FuzzParseConfig(f *testing.F) {
	f.Add("us", "1", "511", "true")
	f.Add("", "999999999999", "-1", "strict")
	f.Fuzz(func(t *testing.T, name, id, limit, flag string) {
		data := map[string]string{"cluster-name": name, "cluster-id": id, "max-connected-clusters": limit, configKeyGlobalDefault: flag, "kube-proxy-replacement": flag}
		c, err := ParseConfig(data)
		if err != nil {
			if !strings.Contains(err.Error(), ConfigMapName) {
				t.Errorf("the error does not name the ConfigMap: %v", err)
			}
			return
		}
		if c.ClusterName == "" || c.ClusterID > 511 {
			t.Errorf("read %+v", c)
		}
		if again, err := ParseConfig(data); !reflect.DeepEqual(again, c) || err != nil {
			t.Errorf("read again: %+v, %v, before: %+v", again, err, c)
		}
	})
}
