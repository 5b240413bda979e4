// Package history keeps what happened to each request of a run, in the order of time.
//
// It is pure. The timeline, the record of --record, the latency over all clusters and the measurement of a failover are views of it.
package history

import (
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/origin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
)

// Request is one request of a run.
type Request struct {
	// Client is the cluster of the client pod, and Pod its name.
	Client string
	Pod    string
	// URL is what the client called. It is empty if the run has only one URL.
	URL string
	// Start is when the request started, by the plugin's clock (see Steady). It may be wrong by up to Uncertain, because not every tool reports when
	// each of its requests started. If Measured is true, Start is the earliest moment.
	Start     time.Time
	Uncertain time.Duration
	// Due is when it should have started, if the run keeps a schedule. Otherwise it is zero.
	Due time.Time
	// Lag is how much later than Due it started.
	Lag time.Duration
	// Duration is how long the request took, if Measured is true. Otherwise it is the longest time that it can have taken: from Start until
	// its result arrived. Connect is how long the connection took, 0 if that was not measured.
	Duration time.Duration
	Measured bool
	Connect  time.Duration
	// Status is the HTTP status, 0 if there was no reply or if only a connection was opened.
	Status int
	// Class says how the request failed. It is empty for an answer with a status below 400.
	Class   reply.Class
	Message string
	// Cluster is who answered: the name of a member, or the captured value if it names no member. It is empty if the sender is unknown.
	Cluster string
	Member  bool
	// Evidence is what identified the sender, such as "pod name". Weak says that it may be in the reply by chance.
	Evidence string
	Weak     bool
	// Reply is the number of the distinct reply, among those of the client with an unknown sender, if it may be attributed later. It is 0
	// otherwise. Log.Attribute says who sent it.
	Reply int
}

// Client identifies what sends requests: a pod in a cluster, and the URL that it calls, which is empty if the run has only one URL.
type Client struct{ Cluster, Pod, URL string }

// By returns the client that sent the request.
func (r Request) By() Client { return Client{r.Client, r.Pod, r.URL} }

// New returns the request of a client that ended with a reply from a sender. Its times are those of Steady.
func New(by Client, r reply.Reply, from origin.Match) Request {
	us := func(d time.Duration) time.Duration { return d.Round(time.Microsecond) } // as in a record, so that both show the same
	return Request{
		Client: by.Cluster, Pod: by.Pod, URL: by.URL, Start: Steady(r.Start), Uncertain: us(r.Uncertain), Due: Steady(r.Due), Lag: us(r.Lag), Duration: us(r.Latency), Measured: r.Measured, Connect: us(r.Connect),
		Status: r.Status, Class: r.Class, Message: r.Message, Cluster: from.Name, Member: from.Member, Evidence: from.By, Weak: from.Weak,
	}
}

// From is the time from which the request counts: when it should have started if the run keeps a schedule, otherwise when it started.
func (r Request) From() time.Time {
	if r.Due.IsZero() {
		return r.Start
	}
	return r.Due
}

// Answered reports whether there was a reply, whatever its status, or a connection to which nothing was to be sent.
func (r Request) Answered() bool { return r.Status != 0 || r.Cluster != "" || r.OK() }

// Latency is how long the request took from the moment from which it counts: if it started late, the client waited for that too. It is valid if
// Measured is true.
func (r Request) Latency() time.Duration { return r.Lag + r.Duration }

// End is when the request ended, at the latest. So a request that waited for its answer never counts as answered before that.
func (r Request) End() time.Time {
	if r.Measured {
		return r.Start.Add(r.Uncertain + r.Duration)
	}
	return r.Start.Add(r.Duration)
}

// earliestEnd is when the request ended, at the earliest. One that was not measured may have ended as soon as it had started.
func (r Request) earliestEnd() time.Time {
	if r.Measured {
		return r.Start.Add(r.Duration)
	}
	return r.Start.Add(-r.Uncertain)
}

// OK reports whether the request was answered with a status below 400.
func (r Request) OK() bool { return r.Class == "" }
