package cluster

import "github.com/kubectl-mesh/kubectl-mesh/lab/internal/run/state"

// auditPolicy logs what a careful administrator of a cluster with secrets in it logs: who asked for which Secret but never its content, and every other
// change with its content, streams to pods with their command.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  resources:
  - {group: "", resources: [secrets, serviceaccounts/token]}
- level: Request
  resources:
  - {group: "", resources: [pods/exec, pods/portforward, pods/log]}
- level: RequestResponse
  verbs: [create, update, patch, delete, deletecollection]
- level: Metadata
`

// WriteAuditPolicy makes the API server of a cluster write an audit log from its start on.
func WriteAuditPolicy(dir state.Dir, c state.Cluster) error {
	return state.WriteFile(Files(dir.ClusterDir(c.Name)).AuditPolicy(), []byte(auditPolicy), 0o600)
}
