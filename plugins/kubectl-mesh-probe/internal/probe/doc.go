// Package probe calls a Service many times from a client pod and counts which
// cluster answered.
//
// It knows the tools a client pod may have (curl, GNU wget, busybox wget), how
// to run them through one exec stream, how to cut their output into replies, how
// to tell from a reply who sent it, and what a tally proves. It knows no cobra,
// no printer and no client-go: the exec comes in through Transport, the members
// of the mesh come in as plain values.
//
// Pod and plugin talk over the exec's stdin and stdout. The pod runs the constant
// text in script.sh; whatever a user typed or a cluster said follows as data
// lines that are read into variables and never become script text. The plugin
// orders requests in batches ("R 17 20": block 17, 20 requests) and thereby sets
// the pace; the pod frames each block with lines that start with a random nonce
// the server never sees, and ends with a trailer that counts the blocks. An exec
// stream that is lost looks like success to client-go (kubernetes#73056), so a
// run without its trailer is incomplete, whatever the transport says.
package probe
