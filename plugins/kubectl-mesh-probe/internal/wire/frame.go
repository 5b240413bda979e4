package wire

import (
	"bytes"
	"fmt"
	"strings"
	"time"
)

// Frame is one framing line and the output before it.
type Frame struct {
	Text string // the line without its verb
	Data []byte // the output since the previous framing line
	Size int    // of that output in the stream; more than len(Data) if some was dropped
	// Arrived is when the line arrived.
	Arrived time.Time

	verb byte
}

// maxLine is longer than any framing line; curl's error texts are the longest part.
const maxLine = 8 << 10

// parser cuts the pod's output at the framing lines. The nonce is random and no server sees it, so no reply contains it.
// A framing line may begin anywhere, even directly after a body that does not end with a newline.
type parser struct {
	nonce []byte // "<nonce> "
	beat  []byte // the beginning of a heartbeat line, which the pod may write in the middle of anything
	limit int    // bytes of data that are kept between two framing lines
	emit  func(Frame)

	buf      []byte // not parsed yet
	data     []byte
	size     int
	beats    int
	lastBeat string // what the last heartbeat said
	err      error
}

func newParser(nonce string, limit int, emit func(Frame)) *parser {
	return &parser{nonce: []byte(nonce + " "), beat: []byte(nonce + " H"), limit: limit, emit: emit}
}

// Write takes the next bytes, in pieces of any size.
func (p *parser) Write(b []byte) (int, error) {
	if p.err != nil {
		return 0, p.err
	}
	p.buf = append(p.buf, b...)
	p.dropBeats()
	for {
		i := bytes.Index(p.buf, p.nonce)
		if i < 0 {
			// The last bytes may be the beginning of a nonce.
			p.keep(len(p.buf) - partial(p.buf, p.nonce))
			return len(b), nil
		}
		p.keep(i)
		end := bytes.IndexByte(p.buf, '\n')
		if end < 0 {
			if len(p.buf) > maxLine {
				p.err = fmt.Errorf("the pod's output is broken: a framing line has no end")
				return 0, p.err
			}
			return len(b), nil
		}
		if last := bytes.LastIndex(p.buf[:end], p.nonce); last > 0 {
			// The previous line was cut off, because its writer was stopped.
			p.buf, end = p.buf[last:], end-last
		}
		line := string(p.buf[len(p.nonce):end])
		p.buf = p.buf[end+1:]
		if err := p.line(line); err != nil {
			p.err = err
			return 0, err
		}
	}
}

// dropBeats removes whole heartbeats first: curl writes its record in several pieces, and a heartbeat may fall between them.
func (p *parser) dropBeats() {
	for from := 0; ; {
		i := bytes.Index(p.buf[from:], p.beat)
		if i < 0 {
			return
		}
		i += from
		line := p.buf[i+len(p.beat):]
		end := bytes.IndexByte(line, '\n')
		if end < 0 {
			return // the rest of it has not arrived
		}
		if end > 0 && line[0] != ' ' {
			from = i + len(p.beat)
			continue
		}
		p.beats++
		p.lastBeat = string(line[:end])
		p.buf = append(p.buf[:i], line[end+1:]...)
		from = i
	}
}

// keep moves n bytes from the buffer to the output.
func (p *parser) keep(n int) {
	room := max(0, p.limit-len(p.data))
	p.data = append(p.data, p.buf[:min(n, room)]...)
	p.size += n
	p.buf = p.buf[n:]
}

func (p *parser) line(line string) error {
	verb, rest, _ := strings.Cut(line, " ")
	if len(verb) != 1 {
		return fmt.Errorf("the pod's output is broken: framing line %q", line)
	}
	f := Frame{verb: verb[0], Text: rest, Data: p.data, Size: p.size}
	p.data, p.size = nil, 0
	p.emit(f)
	return nil
}

// pending returns the output since the last framing line.
func (p *parser) pending() ([]byte, int) { return p.data, p.size }

// partial returns how many bytes at the end of b may be the beginning of sep.
func partial(b, sep []byte) int {
	for n := min(len(sep)-1, len(b)); n > 0; n-- {
		if bytes.HasSuffix(b, sep[:n]) {
			return n
		}
	}
	return 0
}
