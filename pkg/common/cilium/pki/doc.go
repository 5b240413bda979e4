// Package pki interprets the certificates of a Cilium installation: the Secret cilium-ca in both of its layouts, the
// leaf Secrets that are derived from it, the files that each process mounts, and whether one cluster's process accepts another's.
//
// It is pure: Secret data, object metadata and pod volumes go in as plain values, facts come out, and the clock is a parameter. It must not
// use Kubernetes clients or print, and no fact that it returns contains private key bytes. Whatever it cannot parse is Unknown,
// never OK.
package pki
