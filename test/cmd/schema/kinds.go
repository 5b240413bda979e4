package main

import "github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"

// kinds are the documents that have a schema. The name of a Go type is the kind of the document.
var kinds = []any{
	v1alpha1.CABackupList{},
	v1alpha1.CABackupReport{},
	v1alpha1.CAChangeReport{},
	v1alpha1.CACheckReport{},
	v1alpha1.CAReport{},
	v1alpha1.ChangeReport{},
	v1alpha1.ClusterList{},
	v1alpha1.DrainReport{},
	v1alpha1.DrillReport{},
	v1alpha1.FederationReport{},
	v1alpha1.FindingList{},
	v1alpha1.MeshGraph{},
	v1alpha1.ProbeCleanupReport{},
	v1alpha1.ProbeComparison{},
	v1alpha1.ProbeRecordLine{},
	v1alpha1.ProbeReport{},
	v1alpha1.ProbeRequest{},
	v1alpha1.RotationReport{},
	v1alpha1.ServiceList{},
	v1alpha1.ServiceReport{},
}
