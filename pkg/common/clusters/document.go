package clusters

import (
	"k8s.io/utils/ptr"

	"github.com/kubectl-mesh/kubectl-mesh/pkg/apis/v1alpha1"
)

// Document returns the members as a document's envelope has them, and whether all could be read.
func Document(kind string, members []*Member) v1alpha1.Document {
	d := v1alpha1.Document{APIVersion: v1alpha1.APIVersion, Kind: kind, Complete: true, Members: []v1alpha1.Member{}}
	for _, m := range members {
		out := v1alpha1.Member{Name: m.Name, Context: m.Context, Server: m.Server}
		if m.Version.Known() {
			out.Version = m.Version.String()
		}
		if m.Err != nil {
			out.Error = &v1alpha1.MemberError{Class: string(m.Err.Class), Message: m.Err.Error()}
			d.Complete = false
		} else {
			out.ID = ptr.To(m.Config.ClusterID)
		}
		d.Members = append(d.Members, out)
	}
	return d
}
