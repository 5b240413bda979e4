// Package plugin names the plugin mesh-svc and builds the commands of it that are printed. It knows no flags.
package plugin

import "github.com/kubectl-mesh/kubectl-mesh/pkg/common/commandline"

// Display is the command that a user types to run the plugin.
const Display = "kubectl mesh-svc"

// FieldManager is the field manager with which the plugin writes, unless --field-manager names another.
const FieldManager = "mesh-svc"

// Command returns a command of the plugin over the clusters that were read. The words are the command, its arguments and its flags, not quoted.
func Command(mesh commandline.Mesh, namespace string, words ...string) string {
	return commandline.Plugin(Display, mesh, namespace, words...)
}

// Undrain returns the command that ends the drain of a cluster.
func Undrain(mesh commandline.Mesh, cluster string) string {
	return Command(mesh, "", "undrain", mesh.Cluster(cluster))
}

// WhereServices says how a user finds a Service that is not in the namespace.
func WhereServices(mesh commandline.Mesh, namespace string) string {
	return "name another namespace with -n, or list all Services of this namespace: " + Command(mesh, namespace, "list", "--all")
}
