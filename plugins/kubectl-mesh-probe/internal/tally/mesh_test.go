package tally

import "github.com/kubectl-mesh/kubectl-mesh/plugins/kubectl-mesh-probe/internal/origin"

var mesh = []origin.Member{{Name: "us", Context: "kind-us"}, {Name: "eu", Context: "kind-eu"}, {Name: "ap", Context: "kind-ap"}}
