// Package pki knows what a Cilium installation keeps of certificates and who has to accept them: the Secret cilium-ca in both of its layouts, the
// leaf Secrets that are made from it, the files that each process really mounts, and whether one cluster's process accepts another's.
//
// It is pure: Secret data, object metadata and pod volumes go in as plain values, facts come out, and the clock is a parameter. It must know
// nothing of Kubernetes clients or of printing, and no fact it returns ever holds private key bytes. What it does not understand is Unknown,
// never OK.
package pki
