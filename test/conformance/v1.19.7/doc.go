// Package conformance judges our rules by the Go code of Cilium 1.19.7; see docs/conformance.md.
package conformance
