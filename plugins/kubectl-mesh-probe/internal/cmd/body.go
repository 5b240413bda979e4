package cmd

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/probe"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/request"
)

// readData returns the value of --data, or the content of the file that it names. It is nil if the flag was not typed.
func (f flags) readData() ([]byte, error) {
	if !f.dataGiven {
		return nil, nil
	}
	data, name := []byte(f.data), ""
	if file, ok := strings.CutPrefix(f.data, "@"); ok {
		var err error
		if data, err = readSmall(file); err != nil {
			return nil, fmt.Errorf("--data: %w", err)
		}
		name = " " + f.data
	}
	if err := request.ParseData(data, f.method); err != nil {
		return nil, fmt.Errorf("--data%s: %w", name, err)
	}
	return data, nil
}

// readSmall reads a file, but not more of it than shows that it is too large.
func readSmall(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	data, err := io.ReadAll(io.LimitReader(file, request.MaxData+1))
	if data == nil {
		data = []byte{}
	}
	return data, err
}

// readResolve returns the value of --resolve. It must fit every URL.
func (f flags) readResolve(targets []probe.Target) (request.Resolve, error) {
	var out request.Resolve
	if f.resolve == "" {
		return out, nil
	}
	for _, t := range targets {
		if t.URL == nil {
			return out, errors.New("--resolve requires a URL, such as http://SERVICE")
		}
		r, err := request.ParseResolve(f.resolve, *t.URL)
		if err != nil {
			return out, fmt.Errorf("--resolve %w", err)
		}
		out = r
	}
	return out, nil
}
