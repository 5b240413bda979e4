package probe

import "testing"

// A name or an address of the one who calls never tells who answered.
func TestField03Caller(t *testing.T) {
	t.Parallel()
	id := fieldIdentifier(t)
	for name, tc := range map[string]struct {
		reply *Reply
		want  string
	}{
		"the client's cluster in words":  {reply("client cluster: eu"), ""},
		"the client's cluster name":      {reply("client cluster name=eu"), ""},
		"the remote cluster":             {reply("remote_cluster=eu"), ""},
		"your cluster":                   {reply("hello, your cluster: eu"), ""},
		"a peer in JSON":                 {reply(`{"peer":{"cluster":"eu"}}`), ""},
		"a forwarded name":               {reply("ok", "X-Forwarded-Cluster: eu"), ""},
		"a greeting from the server":     {reply("Hello from cluster: eu"), "eu"},
		"the client's address":           {reply("client_address=10.2.1.2\nreal path=/"), ""},
		"the client's address in words":  {reply("Client address: [fd00:2::a]:4711"), ""},
		"the client's address in JSON":   {reply(`{"origin": "10.2.1.2"}`), ""},
		"the client's address in header": {reply("ok", "X-Forwarded-For: 10.2.1.2"), ""},
		"a pod's name in such a header":  {reply("ok", "X-Source-Pod: web-eu-1"), "eu"},
		"the address of the server":      {reply("Server address: 10.2.1.2:80"), "eu"},
		"both addresses":                 {reply("remote_addr=10.2.1.2 server_addr=10.1.1.2"), "us"},
	} {
		if got := id.Identify(tc.reply); got.Name != tc.want {
			t.Errorf("%s: %+v, want %q", name, got, tc.want)
		}
	}
}

// A few replies contradict no prediction of halves; names that may be there by chance pass nothing all the same.
func TestField03FewWeakReplies(t *testing.T) {
	t.Parallel()
	members := []Known{{"us", "kind-us"}, {"eu", "kind-eu"}}
	tally := NewTally(members)
	for range 10 {
		tally.Add(Reply{Status: 200}, Answer{Name: "us", Member: true, By: ByCluster, Weak: true})
	}
	halves := Prediction{Shares: map[string]float64{"us": 0.5, "eu": 0.5}}
	all := Prediction{Shares: map[string]float64{"us": 1, "eu": 0}}
	for _, tc := range []struct {
		expr       string
		prediction Prediction
		want       Verdict
	}{
		{"only=us", halves, Inconclusive}, {"us=100%", halves, Inconclusive}, {"eu=0%", halves, Inconclusive},
		{"only=us", all, Pass}, {"us=100%", all, Pass}, {"eu=0%", all, Pass},
	} {
		es, err := ParseExpect([]string{tc.expr}, members, false)
		if err != nil {
			t.Fatal(err)
		}
		if got := es[0].Judge(tally, Evidence{Prediction: tc.prediction, Members: members, Looks: 1}); got.Verdict != tc.want {
			t.Errorf("%s with %s: %+v, want %s", tc.expr, tc.prediction, got, tc.want)
		}
	}
}
