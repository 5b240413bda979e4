// Package controllers stands in for the module sigs.k8s.io/mcs-api/controllers, of which Cilium
// uses one constant. Versions that Cilium names cannot be had from every module proxy, and
// the real one would bring a controller's dependencies into tests that run no controller.
package controllers

// DerivedServiceAnnotation is the annotation of a ServiceImport that names its derived Service
// (MCS-API; Cilium's Documentation/network/clustermesh/mcsapi.rst).
const DerivedServiceAnnotation = "multicluster.kubernetes.io/derived-service"
