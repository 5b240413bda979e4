package chooser

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/common/routing"
	"github.com/kubectl-mesh/kubectl-mesh/test/conformance/wire"
)

// exchangeTimeout ends a question that hangs. Some thousand Services take a second.
const exchangeTimeout = time.Minute

// errUnanswered says that the connection broke before the reply was there.
var errUnanswered = errors.New("the connection ended before the reply")

// Cilium asks Cilium's own code, which runs in a process of its own and listens on a unix socket. The connection is kept
// and reopened after a failure, so that the process may be started again at any time.
type Cilium struct {
	// Dir is the directory of the socket.
	Dir string

	mu     sync.Mutex
	conn   net.Conn
	reader *bufio.Reader
}

// Choose sends the objects of all clusters that were read and returns what Cilium makes of them.
func (c *Cilium) Choose(ctx context.Context, mesh []Cluster, client string) ([]Choice, error) {
	i := slices.IndexFunc(mesh, func(m Cluster) bool { return m.Name == client })
	switch {
	case i < 0:
		return nil, fmt.Errorf("cluster %q is not in the mesh", client)
	case mesh[i].Gap != "":
		return nil, nil
	}
	reply, err := c.ask(ctx, question(mesh, client))
	if err != nil {
		return nil, err
	}
	choices := make([]Choice, 0, len(reply.Choices))
	for _, ch := range reply.Choices {
		choices = append(choices, Choice{
			Service:  routing.Key{Namespace: ch.Namespace, Name: ch.Name},
			Frontend: routing.Frontend{Port: routing.Port{Name: ch.PortName, Protocol: ch.Protocol, Port: int32(ch.Port)}, IPv6: ch.Address.Is6()},
			Backends: ch.Backends,
		})
	}
	return choices, nil
}

// Version returns the version of Cilium whose code answers.
func (c *Cilium) Version(ctx context.Context) (string, error) {
	reply, err := c.ask(ctx, wire.Request{})
	return reply.Cilium, err
}

// Close ends the connection.
func (c *Cilium) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.disconnect()
}

// question makes a request of what was read. A cluster that was not read yet is unknown to the others.
func question(mesh []Cluster, client string) wire.Request {
	r := wire.Request{Client: client}
	for _, m := range mesh {
		if m.Gap != "" {
			continue
		}
		w := wire.Cluster{Name: m.Name, Peers: m.Peers, DefaultGlobalNamespace: m.DefaultGlobalNamespace, Namespaces: m.Namespaces}
		for _, key := range slices.SortedFunc(maps.Keys(m.Objects), compareKeys) {
			o := m.Objects[key]
			w.Services = append(w.Services, o.Service)
			w.EndpointSlices = append(w.EndpointSlices, o.Slices...)
		}
		r.Clusters = append(r.Clusters, w)
	}
	return r
}

func compareKeys(a, b routing.Key) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// ask makes one exchange. A connection that was good before may have lost its other end since; then a new one is tried.
func (c *Cilium) ask(ctx context.Context, r wire.Request) (wire.Reply, error) {
	data, err := json.Marshal(r)
	if err != nil {
		return wire.Reply{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	kept := c.conn != nil
	reply, err := c.exchange(ctx, append(data, '\n'))
	if kept && errors.Is(err, errUnanswered) && ctx.Err() == nil {
		reply, err = c.exchange(ctx, append(data, '\n'))
	}
	if err == nil && reply.Error != "" {
		err = fmt.Errorf("%s: %s", wire.Program, reply.Error)
	}
	return reply, err
}

func (c *Cilium) exchange(ctx context.Context, line []byte) (wire.Reply, error) {
	if c.conn == nil {
		conn, err := wire.Dial(ctx, c.Dir)
		if err != nil {
			return wire.Reply{}, fmt.Errorf("%s does not answer; \"meshlab up\" starts it again: %w", wire.Program, err)
		}
		c.conn, c.reader = conn, bufio.NewReader(conn)
	}
	reply, err := c.transfer(ctx, line)
	if err != nil {
		return reply, fmt.Errorf("%s: %w: %w", wire.Program, errUnanswered, errors.Join(err, c.disconnect()))
	}
	return reply, nil
}

func (c *Cilium) transfer(ctx context.Context, line []byte) (reply wire.Reply, err error) {
	if err := c.conn.SetDeadline(time.Now().Add(exchangeTimeout)); err != nil {
		return reply, err
	}
	conn := c.conn
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := c.conn.Write(line); err != nil {
		return reply, err
	}
	answer, err := c.reader.ReadBytes('\n')
	if err != nil {
		return reply, err
	}
	return reply, json.Unmarshal(answer, &reply)
}

func (c *Cilium) disconnect() error {
	if c.conn == nil {
		return nil
	}
	conn := c.conn
	c.conn, c.reader = nil, nil
	return conn.Close()
}
