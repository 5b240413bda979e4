// Package origin finds out which member of the mesh sent a reply.
//
// It is pure. It knows names and addresses of members, pods and nodes as plain values, and the rules of --identify and --map.
package origin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"regexp/syntax"
	"strings"

	"k8s.io/client-go/util/jsonpath"

	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/reply"
	"github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/request"
)

// Member is a member of the mesh that replies can be attributed to.
type Member struct {
	Name    string // its Cilium cluster name
	Context string
}

// Match says which member sent a reply, and how it was recognized.
type Match struct {
	// Name is the name of a member, or the captured value if it does not name a member. It is empty if the sender is unknown.
	Name   string
	Member bool
	// By is what identified it: pod name, pod IP, node name, cluster name, context name, socket, body, header or json.
	By string
	// Weak says that it relies on a name that may be in the reply by chance.
	Weak bool
}

// Identifier finds out which member sent a reply. It is immutable, and so safe for concurrent use.
type Identifier struct {
	rule    string // auto, body, header or json
	expr    *regexp.Regexp
	header  string
	path    *jsonpath.JSONPath
	aliases map[string]string // from values to names of members
	tokens  *Tokens
	own     []netip.Addr // of the client pod, unmapped and without a zone
}

// Mapping is one --map: the cluster that a captured value refers to.
type Mapping struct{ value, cluster string }

// ParseMappings reads the values of --map. Whether the clusters exist is checked by Parse.
func ParseMappings(values []string) ([]Mapping, error) {
	var out []Mapping
	for _, v := range values {
		value, cluster, ok := cutLast(v, "=")
		if !ok || value == "" || cluster == "" {
			return nil, fmt.Errorf("--map %q: must be VALUE=CLUSTER", v)
		}
		out = append(out, Mapping{value, cluster})
	}
	return out, nil
}

// Parse reads --identify. members are those that a captured value may name, and mappings add values for them.
func Parse(rule string, mappings []Mapping, members []Member) (*Identifier, error) {
	id := &Identifier{aliases: aliases(members)}
	for _, m := range mappings {
		if err := id.mapValue(m, members); err != nil {
			return nil, fmt.Errorf("--map %q: %w", m.value+"="+m.cluster, err)
		}
	}
	how, arg, _ := strings.Cut(rule, "=")
	id.rule = how
	switch how {
	case "auto":
		if rule != "auto" {
			return nil, fmt.Errorf("--identify %q: auto does not take a value", rule)
		}
	case "body":
		if err := id.body(arg); err != nil {
			return nil, fmt.Errorf("--identify %q: %w", rule, err)
		}
	case "header":
		if _, err := request.ParseHeader(arg + ": x"); err != nil || strings.Contains(arg, ":") {
			return nil, fmt.Errorf("--identify %q: must be header=NAME", rule)
		}
		id.header = arg
	case "json":
		if err := id.json(arg); err != nil {
			return nil, fmt.Errorf("--identify %q: %w", rule, err)
		}
	default:
		return nil, fmt.Errorf("--identify %q: must be auto, body=REGEX, header=NAME or json=PATH", rule)
	}
	return id, nil
}

// mapValue makes a value refer to a member.
func (id *Identifier) mapValue(m Mapping, members []Member) error {
	member, ok := FindMember(members, m.cluster)
	if !ok {
		return fmt.Errorf("cluster %q is not among the clusters that are read: %s", m.cluster, MemberNames(members))
	}
	if had, ok := id.aliases[m.value]; ok && had != member {
		return fmt.Errorf("%q already refers to cluster %s", m.value, had)
	}
	id.aliases[m.value] = member
	return nil
}

func (id *Identifier) body(expr string) error {
	if expr == "" {
		return fmt.Errorf("must be body=REGEX")
	}
	re, err := regexp.Compile(expr)
	if err != nil {
		var se *syntax.Error
		if errors.As(err, &se) {
			return fmt.Errorf("cannot parse the expression: %s", se.Code)
		}
		return err
	}
	if re.NumSubexp() != 1 {
		return fmt.Errorf("the expression has %d groups; put parentheses around the part that names the cluster, such as body='cluster (\\S+)', and use (?:...) for other groups", re.NumSubexp())
	}
	id.expr = re
	return nil
}

func (id *Identifier) json(path string) error {
	if path == "" {
		return fmt.Errorf("must be json=PATH, such as json=.cluster")
	}
	// As kubectl does: .cluster, cluster and {.cluster} are the same.
	expr := strings.TrimSuffix(strings.TrimPrefix(path, "{"), "}")
	if !strings.HasPrefix(expr, ".") && !strings.HasPrefix(expr, "[") && !strings.HasPrefix(expr, "$") {
		expr = "." + expr
	}
	id.path = jsonpath.New("identify").AllowMissingKeys(true)
	if err := id.path.Parse("{" + expr + "}"); err != nil {
		return fmt.Errorf("cannot parse the path: %w", err)
	}
	return nil
}

// Auto reports whether replies are recognized by names and addresses that the clusters themselves provide.
func (id *Identifier) Auto() bool { return id.rule == "auto" }

// WithTokens returns a copy that recognizes these tokens.
func (id *Identifier) WithTokens(t *Tokens) *Identifier {
	out := *id
	out.tokens = t
	return &out
}

// CalledFrom returns a copy for the replies to a client pod with these addresses. In a reply, they may be those of the caller.
func (id *Identifier) CalledFrom(own []netip.Addr) *Identifier {
	out := *id
	out.own = own
	return &out
}

// Late returns the kinds of names that identified one member until a second one had the same during the run, each with an example. What was
// attributed by such a name before may have come from either.
func (id *Identifier) Late() map[string]string {
	if id.tokens == nil {
		return nil
	}
	return id.tokens.late()
}

// Undecided is what would identify the sender of a reply, and does not. Each is empty if the reply has none.
type Undecided struct {
	// Open is a name that a cluster which was not read may have too, Client an address of the client pod, and Sent a name that the client sends itself.
	Open, Client, Sent string
}

// Undecided returns what would identify the sender of a reply, and does not.
func (id *Identifier) Undecided(r *reply.Reply) Undecided {
	if id.tokens == nil || r.Connected || id.rule != "auto" {
		return Undecided{}
	}
	return id.tokens.undecided(r, id.own)
}

// Identify returns which member sent a reply.
func (id *Identifier) Identify(r *reply.Reply) Match {
	if r.Connected && id.tokens != nil {
		return id.tokens.connectedTo(r.Peer.Addr())
	}
	if r.Status == 0 {
		return Match{}
	}
	value, ok := "", false
	switch id.rule {
	case "auto":
		if id.tokens == nil {
			return Match{}
		}
		return id.tokens.find(r, id.own)
	case "body":
		if m := id.expr.FindSubmatch(r.Body); m != nil {
			value, ok = string(m[1]), true
		}
	case "header":
		value, ok = r.Get(id.header)
	case "json":
		value, ok = id.fromJSON(r.Body)
	}
	value = strings.TrimSpace(value)
	if !ok || value == "" {
		return Match{}
	}
	if name, ok := id.aliases[value]; ok {
		return Match{Name: name, Member: true, By: id.rule}
	}
	return Match{Name: value, By: id.rule}
}

func (id *Identifier) fromJSON(body []byte) (string, bool) {
	var doc any
	if json.Unmarshal(body, &doc) != nil {
		return "", false
	}
	found, err := id.path.FindResults(doc)
	if err != nil || len(found) != 1 || len(found[0]) != 1 {
		return "", false
	}
	switch v := found[0][0].Interface().(type) {
	case string:
		return v, true
	case float64, bool:
		return fmt.Sprint(v), true
	}
	return "", false
}

// aliases maps the names that mean exactly one member.
func aliases(members []Member) map[string]string {
	out := map[string]string{}
	twice := map[string]bool{}
	add := func(value, name string) {
		if had, ok := out[value]; ok && had != name {
			twice[value] = true
		}
		out[value] = name
	}
	for _, m := range members {
		add(m.Name, m.Name)
		if m.Context != "" {
			add(m.Context, m.Name)
		}
	}
	for v := range twice {
		delete(out, v)
	}
	return out
}

// FindMember returns the name of the member that has this cluster name or context name.
func FindMember(members []Member, name string) (string, bool) {
	v, ok := aliases(members)[name]
	return v, ok
}

// MemberNames lists the members' names, for messages.
func MemberNames(members []Member) string {
	names := make([]string, len(members))
	for i, m := range members {
		names[i] = m.Name
	}
	return strings.Join(names, ", ")
}

// cutLast is strings.Cut at the last separator.
func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}
