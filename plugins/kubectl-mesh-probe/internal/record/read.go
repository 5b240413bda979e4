package record

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/history"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/summary"
)

// Record is what was read.
type Record struct {
	// Report is the report of the run. What follows from the requests was counted again.
	Report v1alpha1.ProbeReport
	// Checks are the expectations that the run was to be judged by.
	Checks []string
	Log    *history.Log
}

const (
	// maxLine limits the bytes of a line, and so the memory that reading takes. The longest lines are the header and the trailer: with 255 clusters
	// as clients of 255 clusters, their report has about 28 MiB.
	maxLine = 1 << 30
	// maxRequests limits the memory that a record takes: 50 bytes for each request.
	maxRequests = 50_000_000
)

// ErrCut is the error of a record without its end.
var ErrCut = errors.New("the record was cut short")

// errLong is the error of a line that is longer than maxLine.
var errLong = errors.New("a line is too long")

// reader is the state of reading.
type reader struct {
	longest      int // the limit of a line
	rec          *Record
	requests     int
	attributions int
	trailer      *trailer
}

// Read reads a record. If cut is true, it accepts one that was cut short.
func Read(in io.Reader, cut bool) (*Record, error) {
	zip, err := gzip.NewReader(bufio.NewReader(in))
	if err != nil {
		return nil, fmt.Errorf("not a record of mesh-probe: %w", err)
	}
	r := &reader{longest: maxLine}
	whole := r.lines(zip)
	switch {
	case errors.Is(whole, ErrCut) && cut && r.rec != nil:
		return r.partial(), nil
	case whole != nil:
		return nil, whole
	}
	return r.whole()
}

// lines reads all lines. The error of a record without its end is ErrCut.
func (r *reader) lines(zip io.Reader) error {
	in := bufio.NewReaderSize(zip, 64<<10)
	for n := 1; ; n++ {
		text, err := r.next(in)
		if len(bytes.TrimSpace(text)) > 0 {
			var l line
			if err := json.Unmarshal(text, &l); err != nil {
				_, after := in.Peek(1)
				return r.broken(n, err, after != nil)
			}
			if err := r.line(l); err != nil {
				return fmt.Errorf("line %d: %w", n, err)
			}
		}
		if err != nil {
			return r.ended(err)
		}
	}
}

// next reads a line. The last one has an error too, as that of bufio.Reader.
func (r *reader) next(in *bufio.Reader) ([]byte, error) {
	var whole []byte
	for {
		part, err := in.ReadSlice('\n')
		switch {
		case len(whole)+len(part) > r.longest:
			return nil, errLong
		case err == nil && len(whole) == 0:
			return part, nil // until the next line is read
		}
		whole = append(whole, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return whole, err
		}
	}
}

// ended is the error of a record that has no further line: nil if it has its end. A line that is too long can only be the trailer; the requests before
// it are whole.
func (r *reader) ended(err error) error {
	switch end := errors.Is(err, io.EOF); {
	case r.rec == nil && (end || errors.Is(err, io.ErrUnexpectedEOF)):
		return errors.New("not a record of mesh-probe: it has no header")
	case r.rec != nil && (errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errLong) || end && r.trailer == nil):
		return fmt.Errorf("%w after %d requests", ErrCut, r.requests)
	case end:
		return nil
	}
	return fmt.Errorf("the record is damaged after %d requests: %w", r.requests, err)
}

// broken is the error of a line that is not JSON. The last line of a record that was cut may be a part of one.
func (r *reader) broken(n int, err error, last bool) error {
	var syntax *json.SyntaxError
	switch {
	case r.rec == nil:
		return fmt.Errorf("not a record of mesh-probe: line %d is not JSON", n)
	case last && errors.As(err, &syntax):
		return fmt.Errorf("%w after %d requests", ErrCut, r.requests)
	}
	return fmt.Errorf("the record is damaged in line %d: %w", n, err)
}

func (r *reader) line(l line) error {
	switch {
	case l.Header != nil && r.rec == nil:
		return r.header(*l.Header)
	case r.rec == nil:
		return errors.New("not a record of mesh-probe: it has no header")
	case r.trailer != nil:
		return errors.New("the record is damaged: something follows its trailer")
	case l.Request != nil:
		one, err := parse(*l.Request)
		if err != nil {
			return fmt.Errorf("the record is damaged: %w", err)
		}
		if r.requests++; r.requests > maxRequests {
			return fmt.Errorf("the record has more than %d requests", maxRequests)
		}
		r.rec.Log.Add(one)
	case l.Attribution != nil:
		a := *l.Attribution
		r.attributions++
		r.rec.Log.Attribute(clientOf(a), a.Reply, matchOf(a))
	case l.Mark != nil:
		r.mark(*l.Mark)
	case l.Trailer != nil:
		r.trailer = l.Trailer
	default:
		return errors.New("the record is damaged: the line has nothing that this version knows")
	}
	return nil
}

// mark adds a mark, or replaces the one of the same moment: a command is written when it starts and when it has ended.
func (r *reader) mark(m v1alpha1.ProbeMark) {
	marks := &r.rec.Report.Marks
	if n := len(*marks); n > 0 && (*marks)[n-1].Time.Equal(m.Time) {
		*marks = (*marks)[:n-1]
	}
	*marks = append(*marks, m)
}

func (r *reader) header(h header) error {
	switch {
	case h.Kind != kind:
		return fmt.Errorf("not a record of mesh-probe: its kind is %q", h.Kind)
	case h.Version != Version:
		return fmt.Errorf("a record of version %d; this mesh-probe reads version %d", h.Version, Version)
	}
	r.rec = &Record{Report: h.Report, Checks: h.Checks, Log: &history.Log{}}
	return checkSchedules(h.Report)
}

// checkSchedules refuses counts that cannot be: a comparison takes memory for each request that was not sent. The requests of a client say nothing about
// them, because only some of the runs that were merged may have had a schedule.
func checkSchedules(doc v1alpha1.ProbeReport) error {
	planned := 0
	for _, c := range doc.Clients {
		s := c.Schedule
		if s == nil {
			continue
		}
		if s.Late < 0 || s.Dropped < 0 || s.Planned > maxRequests-planned || s.Dropped > s.Planned || s.Late > s.Planned-s.Dropped {
			return fmt.Errorf("the record is damaged: the schedule of pod %s in cluster %s cannot be: %d requests planned, %d late, %d not sent", c.Pod, c.Cluster, s.Planned, s.Late, s.Dropped)
		}
		planned += s.Planned
	}
	return nil
}

// whole is a record with its end.
func (r *reader) whole() (*Record, error) {
	if t := r.trailer; t.Requests != r.requests || t.Attributions != r.attributions {
		return nil, fmt.Errorf("the record is damaged: it has %d requests and %d attributions, and its trailer says %d and %d", r.requests, r.attributions, t.Requests, t.Attributions)
	}
	if err := checkSchedules(r.trailer.Report); err != nil {
		return nil, err
	}
	r.rec.Report = r.trailer.Report
	counted := map[history.Client]int{}
	for _, c := range r.rec.Report.Clients {
		counted[summary.Client(c)] = c.Requests
	}
	summary.Fill(&r.rec.Report, r.rec.Log)
	for _, c := range r.rec.Report.Clients {
		if n := counted[summary.Client(c)]; n != c.Requests {
			return nil, fmt.Errorf("the record is damaged: its report says %d requests of pod %s in cluster %s, and it has %d", n, c.Pod, c.Cluster, c.Requests)
		}
	}
	return r.rec, nil
}

// partial is a record without its end. Its checks were not judged.
func (r *reader) partial() *Record {
	doc := &r.rec.Report
	doc.Complete = false
	first, last := r.rec.Log.Span()
	if r.requests > 0 {
		doc.StartTime, doc.EndTime = &first, &last
	}
	for i := range doc.Clients {
		doc.Clients[i].Complete, doc.Clients[i].Reason = false, ErrCut.Error()
		if took := last.Sub(first); took > 0 {
			ms := summary.Milliseconds(took)
			doc.Clients[i].DurationMs = &ms
		}
	}
	summary.Fill(doc, r.rec.Log)
	return r.rec
}
