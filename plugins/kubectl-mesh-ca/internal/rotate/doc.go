// Package rotate gives a mesh a new CA without an outage, in phases that can be interrupted, continued from any machine, and turned back.
//
// decide.go decides what comes next from what was read, and nothing else: no progress is stored anywhere. steps.go turns a phase into writes, gate.go says
// what must be seen in the running processes before it begins, and run.go goes from phase to phase. docs/rotation.md is the runbook.
package rotate
