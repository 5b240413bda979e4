// Package conformance judges our rules by the Go code of Cilium 1.18; see docs/conformance.md.
package conformance
