package routing

import "testing"

// TestWhatIf: the snapshot that was read stays as it is, and what is not changed is in both.
func TestWhatIf(t *testing.T) {
	t.Parallel()
	a, b := Key{"n", "a"}, Key{"n", "b"}
	snap := &Snapshot{Clusters: []Cluster{
		{Name: "us", Services: map[Key]*Service{a: {Key: a, Endpoints: []Endpoint{{Ready: true, Pod: "1"}, {Serving: true, Terminating: true, Pod: "2"}, {Serving: true, DisputedConditions: true, Pod: "3"}}}, b: {Key: b}}},
		{Name: "eu", Services: map[Key]*Service{a: {Key: a, Type: "old"}}},
	}}
	other := snap.WithServices("us", map[Key]*Service{a: {Key: a, Type: "new"}})
	if other.Find("us").Services[a].Type != "new" || other.Find("us").Services[b] == nil || other.Find("eu").Services[a].Type != "old" {
		t.Errorf("with another Service: %+v", other.Find("us").Services)
	}
	lost := snap.WithoutEndpoints("us", a)
	if svc := lost.Find("us").Services[a]; len(svc.Endpoints) != 0 || lost.Find("us").Services[b] == nil || lost.Find("eu").Services[a].Type != "old" {
		t.Errorf("without endpoints: %+v", lost.Find("us").Services)
	}
	ready := snap.ReadyOnly([]Key{a})
	if left := ready.Find("us").Services[a].Endpoints; len(left) != 2 || left[0].Pod != "1" || left[1].Pod != "3" || ready.Find("us").Services[b] != nil {
		t.Errorf("those that are or may be ready: %+v", left)
	}
	if len(snap.Find("us").Services[a].Endpoints) != 3 || snap.Find("us").Services[a].Type != "" || len(snap.Find("us").Services) != 2 {
		t.Errorf("what was read is changed: %+v", snap.Find("us").Services[a])
	}
}

// TestOnEmptyNodes: who answers clients in us on nodes without an endpoint.
func TestOnEmptyNodes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*Service)
		want   string
	}{
		"Cluster":  {func(*Service) {}, "as all"},
		"Local":    {func(s *Service) { s.InternalLocal = true }, "eu=1"},
		"headless": {func(s *Service) { s.InternalLocal, s.Headless = true, true }, "as all"},
		"proxied":  {func(s *Service) { s.InternalLocal, s.Endpoints = true, proxied(1, "").Endpoints }, "as all"},
	} {
		snap := mesh("1.20.2", service(1, 2, "global"), service(2, 1, "global"))
		c.change(snap.Clusters[0].Services[key])
		was, got := dump(t, snap), "as all"
		if nodes := snap.OnEmptyNodes("us", key); nodes != nil {
			got = shares(Decide(nodes, "us", key, http).Outcomes[0])
		}
		if got != c.want || dump(t, snap) != was {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
