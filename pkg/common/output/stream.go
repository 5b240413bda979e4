package output

import (
	"bytes"
	"errors"
	"io"

	"k8s.io/cli-runtime/pkg/printers"
)

// Stream prints one document after the other, as kubectl does with --watch: the header of a table once, and its columns
// where they were; YAML documents with a line between them.
type Stream struct {
	flags *Flags
	w     io.Writer
	print printers.ResourcePrinter
	out   bytes.Buffer
	tab   io.Writer // where columns are aligned, before out
	align func() error
}

// Stream begins a stream. Validate has accepted the format.
func (f *Flags) Stream(w io.Writer) (*Stream, error) {
	s := &Stream{flags: f, w: w}
	if f.IsTable() {
		tab := printers.GetNewTabWriter(&s.out)
		s.tab, s.align = tab, tab.Flush
		s.print = printers.NewTablePrinter(printers.PrintOptions{NoHeaders: f.NoHeaders, Wide: f.Format == Wide})
		return s, nil
	}
	var err error
	s.print, err = f.printer()
	return s, err
}

// Print prints the next document, or the one table of sections.
func (s *Stream) Print(doc any, sections []Section) error {
	if s.flags.IsTable() {
		if err := errors.Join(s.print.PrintObj(sections[0].Table, s.tab), s.align()); err != nil {
			return err
		}
	} else if err := s.flags.printDocument(&s.out, s.print, doc); err != nil {
		return err
	}
	return flush(s.w, &s.out)
}
