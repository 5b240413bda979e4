// Package ca reads the CA and the certificates of every cluster of a mesh, works out who trusts whom, and copies a CA from one cluster to others.
//
// It knows the Kubernetes API and what pkg/common/cilium/pki says about certificates; it must not know flags, streams or tables. Secrets are read one
// by one by name, never listed. Private keys pass through it from one API server to another: none of its results, errors or reports holds one.
package ca
