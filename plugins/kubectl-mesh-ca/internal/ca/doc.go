// Package ca reads the CA and the certificates of every cluster of a mesh, determines who trusts whom, and copies a CA from one cluster to others.
//
// It uses the Kubernetes API and package pki; it must not use flags, streams or tables. Secrets are read one
// by one by name, never listed. Private keys pass through it from one API server to another: no result, error or report contains one.
package ca
