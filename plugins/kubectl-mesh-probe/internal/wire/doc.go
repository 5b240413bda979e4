// Package wire is the protocol between the plugin and the client pod, over one exec.
//
// The pod runs the constant text in script.sh and dial.sh. Whatever a user typed or a cluster returned follows as data lines, which the
// script reads into variables and never runs. The plugin orders requests in batches ("R 17 20": batch 17, 20 requests), and
// so controls the pace. The pod frames the output of each batch with lines that start with a random nonce, which no server
// sees, and ends with a trailer that counts the batches. A lost exec stream looks like success to client-go
// (kubernetes#73056), so a run without its trailer is incomplete, whatever the transport reports.
//
// The package does not know which tools a pod may have, nor what their output means.
package wire
