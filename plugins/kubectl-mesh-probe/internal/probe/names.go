package probe

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/origin"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
)

// explainNames warns about replies with a name or an address that does not identify the sender, and says why and what to do.
func (r *run) explainNames(c *client) {
	if c.tally.Unknown == 0 {
		return
	}
	id := c.identifier()
	var named, called, repeated int // replies with such a name, with the client's own address, and with a name that the client sends
	var name, addr, sent string
	c.tally.EachUnknown(func(one *reply.Reply, count int) {
		switch u := id.Undecided(one); {
		case u.Open != "":
			named += count
			if name == "" || u.Open < name {
				name = u.Open
			}
		case u.Client != "":
			called += count
			addr = u.Client
		case u.Sent != "":
			repeated += count
			if sent == "" || u.Sent < sent {
				sent = u.Sent
			}
		}
	})
	const fix = "use --identify to select a part of the reply that identifies the cluster"
	if named > 0 {
		c.result.Warnings = append(c.result.Warnings, fmt.Sprintf("%d replies contain a name that may not be unique, such as %s: %s, or %s", named, name, r.whoElse(c.to.senders), fix))
	}
	if called > 0 {
		c.result.Warnings = append(c.result.Warnings, fmt.Sprintf(
			"%d replies contain the address of the client pod (%s), which may be that of the caller, and nothing else that identifies a cluster: choose a client pod that is not a backend with --from, or %s", called, addr, fix))
	}
	if repeated > 0 {
		c.result.Warnings = append(c.result.Warnings, fmt.Sprintf(
			"%d replies contain a name that is also in the request or is the name of the Service, such as %s, and nothing else that identifies a cluster: a server in any cluster can send it back, so %s", repeated, sent, fix))
	}
}

// whoElse says which clusters may have the same name, and how to find out whether they do.
func (r *run) whoElse(known *recognizer) string {
	isMember := func(name string) bool {
		return slices.ContainsFunc(r.mesh.members, func(m origin.Member) bool { return m.Name == name })
	}
	others := slices.DeleteFunc(slices.Clone(known.unread), isMember)
	switch {
	case len(others) > 0:
		return fmt.Sprintf("it may also exist in %s, which is not read; add its context with --contexts", strings.Join(others, " or "))
	case len(known.unread) > 0:
		return fmt.Sprintf("it may also exist in %s, which could not be read; run the command again when it can be read", strings.Join(known.unread, " or "))
	}
	return fmt.Sprintf("it may also exist in another peer of %s, and these peers could not be read (Secret cilium-clustermesh or ConfigMap clustermesh-remote-users); get the permission", strings.Join(known.peersOf, " or "))
}

// reused says which name identified one cluster until a second one had it during the run, if replies of the client were attributed by such
// names. It is empty otherwise.
func (c *client) reused() string {
	late := c.identifier().Late()
	for _, by := range []string{origin.ByPod, origin.ByIP, origin.ByNode} {
		counted := c.tally.Recognized[by]
		if by == origin.ByIP {
			counted += c.tally.Recognized[origin.BySocket]
		}
		if name := late[by]; name != "" && counted > 0 {
			return fmt.Sprintf("%s %s", by, name)
		}
	}
	return ""
}
