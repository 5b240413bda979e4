package pki

import (
	"crypto/x509"
	"slices"
	"time"
)

// Accepts says which of two CAs, the previous one (OLD) and the new one (NEW), are meant: of a leaf certificate, which CA's pool verifies it; of a CA file,
// which CA's leaf certificates it verifies. Both can be true.
type Accepts struct{ Old, New bool }

// The four values.
var (
	AcceptsNone = Accepts{}
	AcceptsOld  = Accepts{Old: true}
	AcceptsNew  = Accepts{New: true}
	AcceptsBoth = Accepts{Old: true, New: true}
)

// String is the value as tables show it.
func (a Accepts) String() string {
	switch a {
	case AcceptsOld:
		return "old"
	case AcceptsNew:
		return "new"
	case AcceptsBoth:
		return "both"
	}
	return "neither"
}

// Verifies reports whether a process that trusts a verifies every certificate of kind leaf: what both accept (leaf + X) is accepted by either CA, and who
// trusts both CAs accepts either kind.
func (a Accepts) Verifies(leaf Accepts) bool { return a.Old && leaf.Old || a.New && leaf.New }

// Rotation is a pair of CAs of which the second replaces the first.
type Rotation struct{ Old, New *x509.Certificate }

// Leaf tells by which of the CAs a presented chain verifies, as Go's TLS does it, at a time.
func (r Rotation) Leaf(chain []*x509.Certificate, now time.Time) Accepts {
	if len(chain) == 0 {
		return AcceptsNone
	}
	verifies := func(ca *x509.Certificate) bool { return Verifies(chain, ca, now) == nil }
	return Accepts{Old: verifies(r.Old), New: verifies(r.New)}
}

// Trust tells which of the CAs a CA file contains. A file that holds X (NEW's key, signed by OLD) trusts what NEW signs.
func (r Rotation) Trust(file []*x509.Certificate) Accepts {
	has := func(ca *x509.Certificate) bool {
		return slices.ContainsFunc(file, func(c *x509.Certificate) bool { return SPKIHash(c) == SPKIHash(ca) })
	}
	return Accepts{Old: has(r.Old), New: has(r.New)}
}

// Only reports whether a file contains nothing besides the CAs of the rotation.
func (r Rotation) Only(file []*x509.Certificate) bool {
	return !slices.ContainsFunc(file, func(c *x509.Certificate) bool {
		return SPKIHash(c) != SPKIHash(r.Old) && SPKIHash(c) != SPKIHash(r.New)
	})
}
