//go:build !unix

package faults

import "errors"

// blackHole fails: how to drop packets without a firewall is only known for Linux.
func blackHole() (address string, end func(), err error) {
	return "", nil, errors.ErrUnsupported
}
