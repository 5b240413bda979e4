package v1alpha1

// ProbeRecordLine is a line of a record (--record). Exactly one of its fields is present. The first line is the header, the last one the trailer. A record without
// a trailer was cut short.
type ProbeRecordLine struct {
	// Header is what was known before the first request.
	Header *ProbeRecordHeader `json:"header,omitempty"`
	// Request is one request. Requests are in the order of arrival.
	Request *ProbeRequest `json:"request,omitempty"`
	// Attribution says who sent a reply of an earlier line.
	Attribution *ProbeRecordAttribution `json:"attribution,omitempty"`
	// Mark is an event.
	Mark *ProbeMark `json:"mark,omitempty"`
	// Trailer has the counts and the final report.
	Trailer *ProbeRecordTrailer `json:"trailer,omitempty"`
}

// ProbeRecordHeader is the first line of a record.
type ProbeRecordHeader struct {
	// Kind is ProbeRecord.
	Kind string `json:"kind"`
	// Version is the version of the format of the record.
	Version int `json:"version"`
	// Report has the members, the target, the clients and their prediction.
	Report ProbeReport `json:"report"`
	// Checks are the expectations to be judged, as they were typed.
	Checks []string `json:"checks,omitempty"`
}

// ProbeRecordAttribution says who sent a reply whose sender was unknown when it arrived.
type ProbeRecordAttribution struct {
	// Client is the cluster of the client pod.
	Client string `json:"client"`
	// Pod is the client pod.
	Pod string `json:"pod,omitempty"`
	// URL is what was called; absent if the run has only one URL.
	URL string `json:"url,omitempty"`
	// Reply is the number of the reply, as in the requests of this client.
	Reply int `json:"reply"`
	// Cluster is who answered: a member, or else a captured value.
	Cluster string `json:"cluster"`
	// Member is true if Cluster is a member of the mesh.
	Member bool `json:"member,omitempty"`
	// Evidence is what identified the sender.
	Evidence string `json:"evidence,omitempty"`
	// Weak is true if Evidence may be in the reply by chance.
	Weak bool `json:"weak,omitempty"`
}

// ProbeRecordTrailer is the last line of a record.
type ProbeRecordTrailer struct {
	// Requests counts the requests in the record.
	Requests int `json:"requests"`
	// Attributions counts the attributions in the record.
	Attributions int `json:"attributions"`
	// Report is the report of the run.
	Report ProbeReport `json:"report"`
}
