package main

import (
	"fmt"
	"path/filepath"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
)

// contexts of the lab; deliberately not Cilium's names us, eu and ap.
func contexts() []string { return []string{"kind-us", "kind-eu", "kind-ap"} }

// oneCA begins with three clusters that were installed on their own and makes them trust one CA.
func (d *demo) oneCA() error {
	d.say("%d clusters, each with a Cilium of its own and a CA of its own. Cilium Cluster Mesh requires one.", len(d.contexts))
	if err := d.each("mesh-svc clusters", "mesh-ca status --fail-on never"); err != nil {
		return err
	}
	if err := d.wantCAs(len(d.contexts)); err != nil {
		return err
	}
	d.say("One command instead of deleting the Secret in all but one cluster and piping it through a shell.")
	if d.cilium {
		if err := d.syncAndFollow(); err != nil {
			return err
		}
		return d.wantCAs(1)
	}
	if err := d.each("mesh-ca sync --from us --to-all --yes"); err != nil {
		return err
	}
	d.say("One CA now. The certificates that the old CAs signed do not verify until they are renewed, and the matrix says so.")
	if err := d.each("mesh-ca status --fail-on never"); err != nil {
		return err
	}
	if err := d.wantCAs(1); err != nil {
		return err
	}
	d.say("Once more: nothing to do.")
	return d.each("mesh-ca sync --from us --to-all --yes")
}

// wantCAs counts the fingerprints that mesh-ca status reports.
func (d *demo) wantCAs(want int) error {
	var doc v1alpha1.CAReport
	if err := d.document(&doc, "mesh-ca", "status", "--fail-on", "never"); err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, c := range doc.Clusters {
		if c.CA == nil {
			return fmt.Errorf("cluster %q shows no CA: %s", c.Cluster, c.CAMessage)
		}
		seen[c.CA.Fingerprint] = true
	}
	if len(seen) != want {
		return fmt.Errorf("%d different CAs, want %d", len(seen), want)
	}
	return nil
}

// deploy applies a manifest in contexts and waits for its Deployments.
func (d *demo) deploy(file, namespace string, contexts []string, deployments ...string) error {
	for _, c := range contexts {
		if err := d.each("--context " + c + " apply -f demo/manifests/" + file); err != nil {
			return err
		}
	}
	for _, c := range contexts {
		for _, name := range deployments {
			if err := d.rollout(c, namespace, name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *demo) rollout(context, namespace, name string) error {
	return d.each(fmt.Sprintf("--context %s -n %s rollout status deployment/%s --timeout=300s", context, namespace, name))
}

// firstWalkthrough is the one with kind: two clusters, two kubeconfig files.
func (d *demo) firstWalkthrough() error {
	d.config = filepath.Join(d.state, "kubeconfig-us.yaml") + string(filepath.ListSeparator) + filepath.Join(d.state, "kubeconfig-eu.yaml")
	two := d.contexts[:2]
	d.say("First walk-through: two clusters, each with its own kubeconfig file. Two pods of the hello world in us, one in eu.")
	if err := d.deploy("first.yaml", "default", two, "rebel-base", "client"); err != nil {
		return err
	}
	if err := d.scale(2); err != nil {
		return err
	}
	d.say("Before the service is global each cluster answers itself.")
	if err := d.probe("first-local", "nginx", "default", "deploy/client"); err != nil {
		return err
	}
	d.say("Global in both clusters with one command: the shares follow the ready endpoints, 2 to 1.")
	if err := d.change("globalize nginx"); err != nil {
		return err
	}
	if err := d.probe("first-global", "nginx", "default", "deploy/client"); err != nil {
		return err
	}
	d.say("Affinity local: clients use their own cluster.")
	if err := d.change("affinity local nginx"); err != nil {
		return err
	}
	if err := d.probe("first-affinity-local", "nginx", "default", "deploy/client"); err != nil {
		return err
	}
	d.say("No pods of the hello world are left in us: eu answers.")
	if err := d.scale(0); err != nil {
		return err
	}
	return d.probe("first-failover", "nginx", "default", "deploy/client")
}

// scale sets the pods in us and waits until the Service's endpoints say so.
func (d *demo) scale(n int) error {
	if err := d.each(fmt.Sprintf("--context kind-us scale deployment rebel-base --replicas %d", n)); err != nil {
		return err
	}
	if n == 0 {
		return d.each("--context kind-us wait --for=delete pod -l app=rebel-base --timeout=300s")
	}
	return d.rollout("kind-us", "default", "rebel-base")
}

// fiveRows are the rows of the table in Cilium's documentation that says who sees whom.
func (d *demo) fiveRows() error {
	d.say("The documentation's table, row by row, with 2 pods in us and 1 in eu.")
	if err := d.scale(2); err != nil {
		return err
	}
	rows := []struct {
		id, say string
		do      []string
	}{
		{"row-1-both-global", "Global in both.", []string{"mesh-svc affinity none nginx --in us,eu"}},
		{"row-2-eu-not-shared", "eu keeps its endpoints for itself.", []string{"mesh-svc unshare nginx --in eu"}},
		{"row-3-neither-shared", "So does us.", []string{"mesh-svc unshare nginx --in us"}},
		{"row-4-eu-not-global", "Shared again, but not global in eu: global in only one cluster has no effect.",
			[]string{"mesh-svc share nginx --in us,eu", "mesh-svc unglobalize nginx --in eu"}},
		{"row-5-eu-has-no-service", "No Service in eu at all.", []string{"--context kind-eu delete service nginx"}},
	}
	for _, r := range rows {
		d.say("%s", r.say)
		if err := d.each(r.do...); err != nil {
			return err
		}
		if err := d.probe(r.id, "nginx", "default", "deploy/client"); err != nil {
			return err
		}
	}
	return nil
}

// onPage is where the page of the second walk-through says which cluster answered. Text that is written for people is not searched for names of clusters.
const onPage = `body=on cluster ([a-z0-9-]+)`

// secondWalkthrough is the one on AKS: three clusters, one client with curl.
func (d *demo) secondWalkthrough() error {
	d.config = filepath.Join(d.state, "kubeconfig")
	d.say("Second walk-through: three clusters, one pod in each, called with curl.")
	if err := d.deploy("second.yaml", "meshtest", d.contexts, "aks-helloworld-one", "fftest"); err != nil {
		return err
	}
	if err := d.change("globalize aks-helloworld-one -n meshtest"); err != nil {
		return err
	}
	if err := d.probe("second-global", "aks-helloworld-one", "meshtest", "deploy/fftest", "--identify", onPage); err != nil {
		return err
	}
	d.say("us no longer shares, and clients in eu prefer the others: they get ap, and only ap.")
	if err := d.each("mesh-svc unshare aks-helloworld-one -n meshtest --in us", "mesh-svc affinity remote aks-helloworld-one -n meshtest --in eu"); err != nil {
		return err
	}
	return d.probe("second-end", "aks-helloworld-one", "meshtest", "deploy/fftest", "--identify", onPage)
}

// change runs a mesh-svc command on the clusters that it detects, and confirms it with --yes.
func (d *demo) change(args string) error {
	return d.each("mesh-svc " + args + " --yes")
}
