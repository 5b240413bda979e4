// Package rotate gives a mesh a new CA without an outage, in phases that can be interrupted, continued from any machine, and turned back.
//
// decide.go decides what comes next from what was read, and nothing else: no progress is stored anywhere. phase.go turns a phase into writes, guard.go refuses those that would end a trust, gate.go
// says what must be seen in the running processes before it begins (observe.go looks), and run.go goes from phase to phase: wait.go waits, carryout.go writes,
// lock.go keeps a second command out. refuse.go and members.go say when a rotation must not begin or go on. docs/rotation.md is the runbook.
package rotate
