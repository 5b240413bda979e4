// Package probe describes the result of a probe as a document, and the permissions that a probe needs.
package probe
