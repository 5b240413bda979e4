package docs

import "strings"

// want is what a command of a page must do. A command that is not listed must exit with 0.
type want struct {
	code    int
	or      []int  // other codes, where the speed of the machine decides
	shows   string // a regular expression
	file    string // the name of a file that it writes
	holds   string // what must be in the file
	answers []Answer
}

const passphrase = "correct horse battery\n"

// conversation is what the reader types: y at the prompt of a command that changes something, and the passphrase of a backup.
func (w want) conversation(command string) []Answer {
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

// restored is what a drill ends with.
const restored = `(?m)^The previous values are restored\.`

// drilled is the result of a drill. On a slow machine it may be refused, because the client cannot keep the rate, or take longer than expected. Of all drills of the pages,
// one must come to its end (restored): a machine on which the clients of all of them are too slow cannot check these pages.
var drilled = want{shows: `previous values are restored|nothing was changed|Nothing was changed`, or: []int{1, 2}}

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
	"docs/README.md": {
		"kubectl mesh-ca status": untrusted,
		"kubectl mesh-ca check":  untrusted,
	},
	"docs/drill.md": {
		"kubectl mesh-probe drill nginx --in us --from deploy/client": drilled,
	},
	"docs/mesh-ca.md": {
		"kubectl mesh-ca restore --in eu --file cas.age --dry-run=server": {shows: `eu +kube-system/cilium-ca`, answers: []Answer{{When: "Passphrase", Type: passphrase}}},
	},
	"docs/probe-records.md": {
		"kubectl mesh-probe compare before.jsonl.gz after.jsonl.gz": {shows: `SAME|DIFFERENT|INCONCLUSIVE`, or: []int{1, 2}},
	},
	"docs/tasks/ca-before-install.md": {
		"kubectl mesh-ca init --in kind-us,kind-eu --dry-run=server": {code: 1, shows: `init is for clusters without it`},
	},
	"docs/tasks/different-cas.md": {
		"kubectl mesh-ca status --contexts kind-us,kind-eu": untrusted,
	},
	"docs/tasks/expiry.md": {
		"kubectl mesh-ca check":                            untrusted,
		"kubectl mesh-ca check --for 1.20 --fail-on never": {code: 2}, // the lab has no Helm release whose values could be read
		"kubectl mesh-ca check --warn-before 26w --fail-before 90d --fail-on warning -o junit > mesh-ca.xml": {code: 1},
	},
	"docs/tasks/failover.md": {
		"kubectl mesh-probe drill nginx --in us --from deploy/client --expect 'failover<5s' --record drill.jsonl.gz --report drill.html": drilled,
		"kubectl mesh-probe report drill.jsonl.gz -o junit > drill.xml":                                                                  {or: []int{1, 2}, file: "drill.xml", holds: "<testcase "},
	},
	"docs/tasks/ci.md": {
		"kubectl mesh-ca check -o junit > mesh-ca.xml":                                                                  {code: 1, file: "mesh-ca.xml", holds: "CA010"},
		"kubectl mesh-probe drill nginx --in us --from deploy/client --expect 'failover<5s' --yes -o junit > drill.xml": {or: []int{1, 2}, file: "drill.xml", holds: "<testcase "},
	},
	"docs/tasks/rotate-ca.md": {
		"kubectl mesh-ca check":  untrusted,
		"kubectl mesh-ca rotate": {code: 2, shows: `the CA cannot be rotated as things are`},
	},
	"docs/walkthroughs.md": {
		"kubectl mesh-ca status": untrusted,
		"kubectl mesh-probe drill nginx --in us --from deploy/client": drilled,
	},
}
