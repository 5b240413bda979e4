//go:build unix

// Package killtest runs kubectl-mesh_ca itself against real API servers, with the model of package modeltest in place of Cilium's processes, and ends it with SIGKILL
// between two requests. It is imported by tests only.
//
//	kubectl-mesh_ca -> gate (counts requests, kills) -> API server of the lab -> kubelet of this package -> model
//
// The API servers, their controllers, and the streams to pods are real. Only the kubelet, and what runs in the pods, is the model's.
package killtest
