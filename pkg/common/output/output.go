// Package output prints a result as kubectl does: a table with cli-runtime's
// printer, or a versioned document as JSON, YAML, JSONPath or Go template.
// It uses no client and makes no decisions about the result.
package output

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/printers"
)

// The formats that cli-runtime does not provide.
const (
	Table = "table"
	Wide  = "wide"
	Name  = "name"
)

// Flags holds the output flags.
type Flags struct {
	Format    string
	NoHeaders bool
	Colour    string // --color; empty is auto
	SortBy    string // --sort-by

	print *genericclioptions.PrintFlags
	names bool   // whether -o name is available
	items string // the field of the document with its items; empty if it has no items to sort
	own   []string
}

// NewFlags returns the flags for a reading command.
func NewFlags() *Flags {
	return &Flags{print: genericclioptions.NewPrintFlags("")}
}

// WithNames offers -o name, for commands whose result is a list of objects.
func (f *Flags) WithNames() *Flags {
	f.names = true
	return f
}

// With offers formats that the command writes itself; see IsCustom.
func (f *Flags) With(formats ...string) *Flags {
	f.own = append(f.own, formats...)
	return f
}

// IsCustom reports whether the format is one that the command writes itself.
func (f *Flags) IsCustom() bool { return slices.Contains(f.own, f.Format) }

// AddFlags registers -o, --no-headers, --template and the rest of cli-runtime's.
func (f *Flags) AddFlags(fs *pflag.FlagSet) {
	fs.StringVarP(&f.Format, "output", "o", f.Format, "Output format. Must be one of: "+strings.Join(f.Formats(), ", ")+".")
	fs.BoolVar(&f.NoHeaders, "no-headers", f.NoHeaders, "If true, print tables without their headers.")
	fs.StringVar(&f.Colour, "color", colourAuto, "Color of results in tables. Must be one of: auto (on a terminal, unless NO_COLOR is set), always, never.")
	if f.items != "" {
		fs.StringVar(&f.SortBy, "sort-by", "", "JSONPath of a field of the listed objects to sort by, such as .name.")
	}
	fs.StringVar(f.print.TemplatePrinterFlags.TemplateArgument, "template", "", "Template string or path to a template file for -o go-template, -o go-template-file.")
}

// Formats lists the formats that -o accepts.
func (f *Flags) Formats() []string {
	formats := []string{Table, Wide, "json", "yaml", "jsonpath=", "go-template="}
	if f.names {
		formats = append(formats, Name)
	}
	if f.items != "" {
		formats = append(formats, customColumns)
	}
	return append(formats, f.own...)
}

// Validate refuses an unknown format before anything is read.
func (f *Flags) Validate() error {
	if err := f.checkColour(); err != nil {
		return err
	}
	if f.SortBy != "" {
		if _, err := parsePath(f.SortBy); err != nil {
			return fmt.Errorf("--sort-by: %w", err)
		}
	}
	if f.isCustom() {
		if _, err := f.userColumns(); err != nil {
			return fmt.Errorf("--output: %w", err)
		}
		return nil
	}
	if f.IsTable() || f.IsName() || f.IsCustom() {
		return nil
	}
	if _, err := f.printer(); err != nil {
		if kind, _, template := strings.Cut(f.Format, "="); template && slices.Contains(f.Formats(), kind+"=") {
			return fmt.Errorf("--output: %w", err)
		}
		return fmt.Errorf("--output %q is not known; it is one of %s", f.Format, strings.Join(f.Formats(), ", "))
	}
	return nil
}

// IsTable reports whether tables are printed.
func (f *Flags) IsTable() bool { return slices.Contains([]string{"", Table, Wide}, f.Format) }

// IsName reports whether only names are printed.
func (f *Flags) IsName() bool { return f.names && f.Format == Name }

func (f *Flags) printer() (printers.ResourcePrinter, error) {
	if f.Format == Name {
		return nil, fmt.Errorf("no names here")
	}
	f.print.OutputFormat = &f.Format
	return f.print.ToPrinter()
}

// Section is a table with an optional line above it.
type Section struct {
	Title string
	Table *metav1.Table
	// Text is printed after the table, or instead of it.
	Text []string
	// Width is the maximum width of the table, if it is to be narrower than tables are otherwise; 0 means no such limit. COLUMNS overrides it.
	Width int
}

// Print prints the document, or the sections where tables are asked for.
func (f *Flags) Print(w io.Writer, doc any, sections []Section) error {
	var out bytes.Buffer
	if f.IsTable() {
		f.printSections(&out, sections, f.coloured(w), tableWidth(w))
		return flush(w, &out)
	}
	if f.isCustom() {
		if err := f.printCustom(&out, doc); err != nil {
			return err
		}
		return flush(w, &out)
	}
	p, err := f.printer()
	if err != nil {
		return err
	}
	if err := f.printDocument(&out, p, doc); err != nil {
		return err
	}
	return flush(w, &out)
}

// flush writes the output. cli-runtime's printers get a buffer, never the stream itself: the table printer ignores
// write errors, so a full disk would look like success.
func flush(w io.Writer, out *bytes.Buffer) error {
	_, err := w.Write(out.Bytes())
	out.Reset()
	return err
}

// printDocument prints in one of cli-runtime's formats, without control characters: a cluster or a reply chose the texts. JSON escapes them, and YAML
// most of them. It prints those that turn the direction of text as they are, and so do templates: there they are left out, as in tables.
func (f *Flags) printDocument(out *bytes.Buffer, p printers.ResourcePrinter, doc any) error {
	var raw bytes.Buffer
	if err := f.printRaw(&raw, p, doc); err != nil {
		return err
	}
	switch strings.ToLower(f.Format) {
	case "json":
		out.Write(escapeJSON(raw.Bytes()))
	default:
		out.WriteString(cleanLines(raw.String()))
	}
	return nil
}

// printRaw prints the texts as the printer does.
func (f *Flags) printRaw(out *bytes.Buffer, p printers.ResourcePrinter, doc any) error {
	raw, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	if strings.HasSuffix(strings.ToLower(f.Format), "yaml") {
		return p.PrintObj(&runtime.Unknown{Raw: escape(raw)}, out)
	}
	u := &unstructured.Unstructured{}
	// Not encoding/json: integers must stay integers, otherwise JSONPath prints 1e+06 and cannot compare them.
	if err := utiljson.Unmarshal(raw, &u.Object); err != nil {
		return err
	}
	if err := p.PrintObj(u, out); err != nil { // followed by the whole document
		message, _, _ := strings.Cut(err.Error(), ". Printing more information")
		return errors.New(cut(message, maxError))
	}
	return nil
}

// escape writes the characters of JSON beyond ASCII as \uXXXX. The printers of YAML read JSON as if it were YAML, which refuses
// some of them (DEL, U+009B, U+FFFE) and takes U+0085 for a line break. What lies above U+FFFF is allowed in both.
func escape(raw []byte) []byte {
	out := make([]byte, 0, len(raw))
	for _, r := range string(raw) {
		if r < 0x7f || r > 0xffff {
			out = utf8.AppendRune(out, r)
		} else {
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}

// PrintPlan prints sections as tables, whatever the format: the user reads them on stderr before confirming.
func (f *Flags) PrintPlan(w io.Writer, sections []Section) error {
	var out bytes.Buffer
	f.printSections(&out, sections, f.coloured(w), tableWidth(w))
	return flush(w, &out)
}

func (f *Flags) printSections(out *bytes.Buffer, sections []Section, colour bool, width int) {
	for i, s := range sections {
		if i > 0 {
			fmt.Fprintln(out)
		}
		if s.Title != "" {
			fmt.Fprintln(out, Clean(s.Title))
		}
		if s.Table != nil {
			limit := width
			if s.Width > 0 && columnsVariable() == 0 {
				limit = min(limit, s.Width)
			}
			layout{limit: limit, headers: !f.NoHeaders, wide: f.Format == Wide, colour: colour}.print(out, s.Table)
		}
		for _, line := range s.Text {
			fmt.Fprintln(out, shortWords(Clean(line)))
		}
	}
}

// NewTable returns an empty table. A column whose name begins with "+" is shown with -o wide only.
func NewTable(columns ...string) *metav1.Table {
	t := &metav1.Table{}
	for _, c := range columns {
		name, wide := strings.CutPrefix(c, "+")
		col := metav1.TableColumnDefinition{Name: name, Type: "string"}
		if wide {
			col.Priority = 1
		}
		if slices.Contains(stateColumns, name) {
			col.Format = stateFormat
		}
		t.ColumnDefinitions = append(t.ColumnDefinitions, col)
	}
	return t
}

// AddRow appends a row; it strips control characters, shortens long cells, and shows empty cells as <none>.
func AddRow(t *metav1.Table, cells ...string) {
	row := metav1.TableRow{Cells: make([]any, len(cells))}
	for i, c := range cells {
		if c = Short(Clean(c)); c == "" {
			c = "<none>"
		}
		row.Cells[i] = c
	}
	t.Rows = append(t.Rows, row)
}
