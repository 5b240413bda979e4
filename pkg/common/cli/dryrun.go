package cli

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/pflag"
)

// DryRunStrategy says how far a command that writes goes.
type DryRunStrategy string

// The values of --dry-run.
const (
	DryRunNone   DryRunStrategy = "none"
	DryRunClient DryRunStrategy = "client" // shows the plan
	DryRunServer DryRunStrategy = "server" // also lets every API server check it
)

// dryRunBare is the value of --dry-run without one, as in kubectl.
const dryRunBare = "unchanged"

// DryRun is the value of --dry-run. Its values and its messages are those of kubectl (pkg/cmd/util/helpers.go, 0.37.2).
type DryRun struct {
	Value DryRunStrategy
	// Deprecated is what to warn of; empty where the value is not an old spelling.
	Deprecated string
}

// AddFlag registers --dry-run. usage says what the values do.
func (d *DryRun) AddFlag(fs *pflag.FlagSet, usage string) {
	d.Value = DryRunNone
	fs.Var(d, "dry-run", usage)
	fs.Lookup("dry-run").NoOptDefVal = dryRunBare
}

// String returns the value.
func (d *DryRun) String() string { return string(d.Value) }

// Type is what the help shows.
func (d *DryRun) Type() string { return "string" }

// Set takes a value. The old spellings, without a value or with a boolean one, hold as they do in kubectl.
func (d *DryRun) Set(value string) error {
	d.Deprecated = ""
	on, err := strconv.ParseBool(value)
	switch {
	case err == nil:
		d.Value = DryRunNone
		if on {
			d.Value = DryRunClient
		}
		d.Deprecated = fmt.Sprintf("--dry-run=%s is deprecated (boolean value) and can be replaced with --dry-run=%s.", value, d.Value)
	case value == dryRunBare:
		d.Value, d.Deprecated = DryRunClient, "--dry-run is deprecated and can be replaced with --dry-run=client."
	case slices.Contains([]DryRunStrategy{DryRunNone, DryRunClient, DryRunServer}, DryRunStrategy(value)):
		d.Value = DryRunStrategy(value)
	default:
		return fmt.Errorf(`invalid dry-run value (%s); must be "none", "server", or "client"`, value)
	}
	return nil
}
