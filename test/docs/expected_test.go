package docs

import "strings"

// want is what a command of a page must do. A command that is not listed must exit with 0.
type want struct {
	code    int
	shows   string // a regular expression
	answers []Answer
}

// conversation is what the reader types: y at the prompt of a command that changes something, and the passphrase of a backup.
func (w want) conversation(command string) []Answer {
	const passphrase = "correct horse battery\n"
	switch {
	case w.answers != nil:
		return w.answers
	case strings.HasPrefix(command, "kubectl mesh-ca backup "):
		return []Answer{{When: "Passphrase for", Type: passphrase}, {When: "The same again", Type: passphrase}}
	}
	return []Answer{{When: "(y/N): ", Type: "y\n"}}
}

// untrusted is a result that names that the clusters do not trust each other, as after fresh installations.
var untrusted = want{code: 1, shows: `CA010`}

// expected maps a page and a command, without its comment, to what is special about it.
var expected = map[string]map[string]want{
	"README.md": {
		"kubectl mesh-svc clusters":               {shows: `(?m)^us +kind-us +1 .* ok `},
		"kubectl mesh-svc globalize nginx":        {shows: `us +default +nginx +changed`},
		"kubectl mesh-svc list -A":                {shows: `default +nginx`},
		"kubectl mesh-svc list -A -w":             {code: 130, shows: `default +nginx`, answers: []Answer{{When: "nginx", Type: "\x03"}}},
		"kubectl mesh-svc affinity local nginx":   {shows: `changed`},
		"kubectl mesh-svc unshare nginx --in us":  {shows: `changed`},
		"kubectl mesh-svc undo FILE":              {shows: `service.cilium.io/shared: "false" -> <absent>`},
		"kubectl mesh-svc drain us":               {shows: `us `},
		"kubectl mesh-ca status":                  untrusted,
		"kubectl mesh-ca check":                   untrusted,
		"kubectl mesh-ca sync --from us --to-all": {shows: `eu +kube-system/cilium-ca .* changed`},
		"kubectl mesh-ca rotate":                  {code: 2, shows: `the CA cannot be rotated as things are`},
		"kubectl mesh-ca backup --all -f cas.age": {shows: `Wrote .*/cas\.age`},
		"kubectl mesh-ca backups":                 {shows: `eu +cilium-ca-backup-`},
	},
}
