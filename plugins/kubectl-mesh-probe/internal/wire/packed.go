package wire

import (
	"bytes"
	"compress/gzip"
	"io"
	"slices"
)

// unpackLimit is the minimum size of a stream that no pod sends: limit in script.sh allows at most 8 MiB.
const unpackLimit = 16 << 20

// fileTooLarge is the exit code of a tool that ended at the limit of a packed batch: signal SIGXFSZ. fileLimits are how large the files are
// then, because shells count in blocks of 512 or 1024 bytes.
const fileTooLarge = 128 + 25

var fileLimits = []int{4 << 20, 8 << 20}

// unpack decompresses what a packed batch printed, and finds its records.
func (e *End) unpack(nonce string) error {
	if e.Output.Size > len(e.Output.Data) {
		return broken("a packed batch of %d bytes", e.Output.Size)
	}
	errs, err := gunzip(e.Errs)
	if err != nil {
		return brokenErrs("unpack: %w", err)
	}
	all, err := gunzip(e.Output.Data)
	if err != nil {
		return broken("unpack: %w", err)
	}
	var records []Frame
	data := all
	for sep := []byte(nonce + " C "); ; {
		i := bytes.Index(data, sep)
		end := -1
		if i >= 0 {
			end = bytes.IndexByte(data[i:], '\n')
		}
		if end < 0 {
			break // a record without an end is that of a tool that was stopped
		}
		records = append(records, Frame{verb: 'C', Data: data[:i], Size: i, Text: string(data[i+len(sep) : i+end])})
		data = data[i+end+1:]
	}
	e.Errs, e.Records, e.Printed = errs, records, len(all)+len(errs)
	e.Full = e.Code == fileTooLarge || slices.Contains(fileLimits, len(all)) || slices.Contains(fileLimits, len(errs))
	e.Output.Data, e.Output.Size = data, len(data)
	return nil
}

// gunzip decompresses one or several gzip streams. An empty stream stands for no output.
func gunzip(packed []byte) ([]byte, error) {
	if len(packed) == 0 {
		return nil, nil
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	out, err := io.ReadAll(io.LimitReader(z, unpackLimit))
	if err == nil && len(out) == unpackLimit {
		err = io.ErrShortBuffer
	}
	return out, err
}
