// Package faults puts what goes wrong in real networks between a command and the API servers of a lab, and holds every command of a plugin to what
// docs/exit-codes.md promises. Only tests import it.
//
//	kubectl-mesh_* -> Layer (one for each cluster; one of them has the fault) -> API server of the lab
//
// A Layer knows one Fault and one API server. Run knows the table: commands, faults, and what must come of each pair. What a run must look like is decided by
// judge, a pure function.
package faults
