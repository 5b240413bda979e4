package probe

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"

	"k8s.io/client-go/util/jsonpath"
)

// Known is a member of the mesh as far as answers can be attributed to it.
type Known struct {
	Name    string // Cilium's
	Context string
}

// Answer says who sent a reply.
type Answer struct {
	// Name is a member's name, or the captured value if it names no member; empty if it is unknown.
	Name   string
	Member bool
	// By says what told: pod name, pod IP, node name, cluster name, context name, body, header, json.
	By string
	// Weak says that it rests on a name that may be in the reply by chance.
	Weak bool
}

// Identifier finds out who sent a reply. It is safe for concurrent use once made.
type Identifier struct {
	how     string // auto, body, header, json
	expr    *regexp.Regexp
	header  string
	path    *jsonpath.JSONPath
	aliases map[string]string // value -> member's name
	tokens  *Tokens
}

// ParseIdentify reads --identify and --as. members are those that a value may name.
func ParseIdentify(rule string, as []string, members []Known) (*Identifier, error) {
	id := &Identifier{aliases: aliases(members)}
	for _, a := range as {
		value, name, ok := cutLast(a, "=")
		if !ok || value == "" || name == "" {
			return nil, fmt.Errorf("--as %q: want VALUE=CLUSTER", a)
		}
		member, ok := findMember(members, name)
		if !ok {
			return nil, fmt.Errorf("--as %q: no cluster %q among those that are read: %s", a, name, memberNames(members))
		}
		if had, ok := id.aliases[value]; ok && had != member {
			return nil, fmt.Errorf("--as %q: %q already stands for cluster %s", a, value, had)
		}
		id.aliases[value] = member
	}
	how, arg, _ := strings.Cut(rule, "=")
	id.how = how
	switch how {
	case "auto":
		if rule != "auto" {
			return nil, fmt.Errorf("--identify %q: auto takes no value", rule)
		}
	case "body":
		if err := id.body(arg); err != nil {
			return nil, fmt.Errorf("--identify %q: %w", rule, err)
		}
	case "header":
		if _, err := ParseHeader(arg + ": x"); err != nil || strings.Contains(arg, ":") {
			return nil, fmt.Errorf("--identify %q: want header=NAME", rule)
		}
		id.header = arg
	case "json":
		if err := id.json(arg); err != nil {
			return nil, fmt.Errorf("--identify %q: %w", rule, err)
		}
	default:
		return nil, fmt.Errorf("--identify %q: want auto, body=REGEX, header=NAME or json=PATH", rule)
	}
	return id, nil
}

func (id *Identifier) body(expr string) error {
	if expr == "" {
		return fmt.Errorf("want body=REGEX")
	}
	re, err := regexp.Compile(expr)
	if err != nil {
		var se *syntax.Error
		if errors.As(err, &se) {
			return fmt.Errorf("the expression does not parse: %s", se.Code)
		}
		return err
	}
	if re.NumSubexp() != 1 {
		return fmt.Errorf("the expression has %d groups; put parentheses around the one part that names who answered, such as body='cluster (\\S+)', and use (?:...) for others", re.NumSubexp())
	}
	id.expr = re
	return nil
}

func (id *Identifier) json(path string) error {
	if path == "" {
		return fmt.Errorf("want json=PATH, such as json=.cluster")
	}
	// As kubectl does: .cluster, cluster and {.cluster} are the same.
	expr := strings.TrimSuffix(strings.TrimPrefix(path, "{"), "}")
	if !strings.HasPrefix(expr, ".") && !strings.HasPrefix(expr, "[") && !strings.HasPrefix(expr, "$") {
		expr = "." + expr
	}
	id.path = jsonpath.New("identify").AllowMissingKeys(true)
	if err := id.path.Parse("{" + expr + "}"); err != nil {
		return fmt.Errorf("the path does not parse: %w", err)
	}
	return nil
}

// Auto reports whether replies are recognised by tokens.
func (id *Identifier) Auto() bool { return id.how == "auto" }

// WithTokens returns a copy that recognises these tokens.
func (id *Identifier) WithTokens(t *Tokens) *Identifier {
	out := *id
	out.tokens = t
	return &out
}

// Identify says who sent a reply.
func (id *Identifier) Identify(r *Reply) Answer {
	if r.Status == 0 {
		return Answer{}
	}
	value, ok := "", false
	switch id.how {
	case "auto":
		if id.tokens == nil {
			return Answer{}
		}
		return id.tokens.find(r)
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
		return Answer{}
	}
	if name, ok := id.aliases[value]; ok {
		return Answer{Name: name, Member: true, By: id.how}
	}
	return Answer{Name: value, By: id.how}
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
func aliases(members []Known) map[string]string {
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

func findMember(members []Known, name string) (string, bool) {
	v, ok := aliases(members)[name]
	return v, ok
}

func memberNames(members []Known) string {
	names := make([]string, len(members))
	for i, m := range members {
		names[i] = m.Name
	}
	return strings.Join(names, ", ")
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}
