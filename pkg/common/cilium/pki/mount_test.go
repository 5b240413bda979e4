package pki

import "testing"

func TestSource(t *testing.T) {
	t.Parallel()
	secret := func(name string, items ...Item) Projection { return Projection{Ref: Ref{Secret, name}, Items: items} }
	objects := map[Ref]Object{
		{Secret, "all"}:    {Data: map[string][]byte{"ca.crt": []byte("x"), "tls.crt": []byte("x")}},
		{Secret, "closed"}: {Unreadable: "no permission"},
	}
	for name, tc := range map[string]struct {
		mounts  []Mount
		volumes []Volume
		want    string // the source, or part of nothing when it is an error
	}{
		"by item":                       {[]Mount{{Volume: "v", Path: "/d"}}, []Volume{{Name: "v", Sources: []Projection{secret("s", Item{"k", "ca.crt"})}}}, "secret/s[k]"},
		"a trailing slash":              {[]Mount{{Volume: "v", Path: "/d/"}}, []Volume{{Name: "v", Sources: []Projection{secret("s", Item{"k", "./ca.crt"})}}}, "secret/s[k]"},
		"without items":                 {[]Mount{{Volume: "v", Path: "/d"}}, []Volume{{Name: "v", Sources: []Projection{secret("all")}}}, "secret/all[ca.crt]"},
		"the later source wins":         {[]Mount{{Volume: "v", Path: "/d"}}, []Volume{{Name: "v", Sources: []Projection{secret("all"), secret("s", Item{"k", "ca.crt"})}}}, "secret/s[k]"},
		"the longest mount wins":        {[]Mount{{Volume: "w", Path: "/"}, {Volume: "v", Path: "/d"}}, []Volume{{Name: "v", Sources: []Projection{secret("all")}}, {Name: "w", Other: "hostPath"}}, "secret/all[ca.crt]"},
		"not that file":                 {[]Mount{{Volume: "v", Path: "/d"}}, []Volume{{Name: "v", Sources: []Projection{secret("all", Item{"ca.crt", "other"})}}}, ""},
		"perhaps where one may not see": {[]Mount{{Volume: "v", Path: "/d"}}, []Volume{{Name: "v", Sources: []Projection{secret("closed")}}}, ""},
		"no mount":                      {nil, nil, ""},
		"a mount beside it":             {[]Mount{{Volume: "v", Path: "/dir"}}, []Volume{{Name: "v", Sources: []Projection{secret("all")}}}, ""},
		"a sub path":                    {[]Mount{{Volume: "v", Path: "/d", Odd: true}}, []Volume{{Name: "v", Sources: []Projection{secret("all")}}}, ""},
		"no such volume":                {[]Mount{{Volume: "v", Path: "/d"}}, nil, ""},
		"another kind of volume":        {[]Mount{{Volume: "v", Path: "/d"}}, []Volume{{Name: "v", Other: "csi"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &Workload{Volumes: tc.volumes}
			got, err := w.source(Container{Name: "c", Mounts: tc.mounts}, "/d/ca.crt", objects)
			if (err != nil) != (tc.want == "") || (err == nil && got.String() != tc.want) {
				t.Errorf("got %s, %v; want %q", got, err, tc.want)
			}
		})
	}
}

func TestFlag(t *testing.T) {
	t.Parallel()
	c := Container{Args: []string{"/usr/bin/etcd", "--a=1", "--b", "2", "--ab=3", "--last"}}
	for name, want := range map[string]string{"a": "1", "b": "2", "ab": "3", "last": "def", "none": "def"} {
		if got := c.Flag(name, "def"); got != want {
			t.Errorf("--%s is %q, want %q", name, got, want)
		}
	}
}
