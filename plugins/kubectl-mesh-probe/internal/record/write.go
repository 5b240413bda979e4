package record

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/history"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/origin"
)

// Writer writes the lines of a record. Its first error stays, and Close returns it. It is safe for concurrent use, and its methods are those of
// probe.Recorder.
type Writer struct {
	mu                     sync.Mutex
	zip                    *gzip.Writer
	buffer                 *bufio.Writer
	lines                  *json.Encoder // to line
	line                   bytes.Buffer
	longest                int // the limit of a line
	requests, attributions int
	err                    error
}

// NewWriter returns a writer of a record.
func NewWriter(w io.Writer) *Writer {
	zip := gzip.NewWriter(w)
	buffer := bufio.NewWriterSize(zip, 64<<10)
	out := &Writer{zip: zip, buffer: buffer, longest: maxLine}
	out.lines = json.NewEncoder(&out.line)
	out.lines.SetEscapeHTML(false)
	return out
}

func (w *Writer) write(l line) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return
	}
	if l.Request != nil {
		w.requests++
	}
	if l.Attribution != nil {
		w.attributions++
	}
	w.line.Reset()
	if w.err = w.lines.Encode(l); w.err != nil {
		return
	}
	if n := w.line.Len(); n > w.longest {
		w.err = fmt.Errorf("%w: it has %d bytes, and at most %d can be read", errLong, n, w.longest)
		return
	}
	_, w.err = w.buffer.Write(w.line.Bytes())
}

// Flush writes what was kept back, so that a crash keeps it.
func (w *Writer) Flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = errors.Join(w.buffer.Flush(), w.zip.Flush())
	}
}

// Requests returns how many requests were written.
func (w *Writer) Requests() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.requests
}

// Close writes the trailer and ends the record.
func (w *Writer) Close(doc v1alpha1.ProbeReport) error {
	w.write(line{Trailer: &trailer{Requests: w.requests, Attributions: w.attributions, Report: doc}})
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil || errors.Is(w.err, errLong) { // what was written before can be read
		w.err = errors.Join(w.err, w.buffer.Flush(), w.zip.Close())
	}
	return w.err
}

// Begin writes the header. Nobody has answered yet: a list without entries is not null.
func (w *Writer) Begin(doc v1alpha1.ProbeReport, checks []string) {
	doc.Clients = slices.Clone(doc.Clients)
	for n := range doc.Clients {
		if doc.Clients[n].Answers == nil {
			doc.Clients[n].Answers = []v1alpha1.ProbeAnswer{}
		}
	}
	w.write(line{Header: &header{Kind: kind, Version: Version, Report: doc, Checks: checks}})
}

// Request writes a request.
func (w *Writer) Request(r history.Request) {
	p := Describe(r)
	w.write(line{Request: &p})
}

// Attributed writes who sent a reply whose sender was unknown when it arrived.
func (w *Writer) Attributed(by history.Client, reply int, from origin.Match) {
	w.write(line{Attribution: &attribution{Client: by.Cluster, Pod: by.Pod, URL: by.URL, Reply: reply, Cluster: from.Name, Member: from.Member, Evidence: from.By, Weak: from.Weak}})
}

// Mark writes a mark.
func (w *Writer) Mark(m v1alpha1.ProbeMark) { w.write(line{Mark: &m}) }
