package ca

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Chart is the Helm chart that Cilium was installed from, as far as objects in the cluster tell. Up to 1.19 Cilium's own chart leaves no mark of itself.
type Chart struct {
	// Name is the chart's, such as cilium or rke2-cilium; empty where nothing tells.
	Name, Version string
	// Mark is what told.
	Mark string
	// Official says that it is Cilium's own chart.
	Official bool
	// Controller says that the Helm controller of RKE2 or K3s runs Helm in the cluster: what another Helm writes is undone at its next run.
	Controller bool
}

const (
	labelChart           = "helm.sh/chart"
	annotationController = "objectset.rio.cattle.io/id" // the Helm controller of K3s and RKE2 marks what it installs
	controllerID         = "helm-controller"
	rke2Prefix           = "rke2-"
	officialChart        = "cilium"
	// officialRepo serves Cilium's own chart; a repository that a person has added under a name of their own is not known here.
	officialRepo = "https://helm.cilium.io/"
)

// chartLabel splits the value of helm.sh/chart, which is NAME-VERSION with "_" for "+".
var chartLabel = regexp.MustCompile(`^(.+?)-(v?[0-9]+\.[0-9]+\.[0-9]+.*)$`)

// chartOf tells the chart from the marks on the objects that it makes.
func chartOf(marks []metav1.ObjectMeta, release Release) Chart {
	var c Chart
	for _, m := range slices.SortedFunc(slices.Values(marks), func(a, b metav1.ObjectMeta) int { return cmp.Compare(a.Name, b.Name) }) {
		if found := chartLabel.FindStringSubmatch(m.Labels[labelChart]); found != nil && c.Name == "" {
			c.Name, c.Version, c.Mark = found[1], strings.ReplaceAll(found[2], "_", "+"), "label "+labelChart
		}
		if strings.HasPrefix(m.Annotations[annotationController], controllerID) {
			c.Controller = true
		}
	}
	if strings.HasPrefix(release.Name, rke2Prefix) || strings.HasPrefix(c.Name, rke2Prefix) {
		c.Controller = true
		if c.Name == "" {
			c.Name, c.Mark = release.Name, "the name of release "+release.Name
		}
	}
	c.Official = c.Name == officialChart && !c.Controller
	return c
}

// String names the chart for a sentence.
func (c Chart) String() string { return strings.TrimSpace(c.Name + " " + c.Version) }
