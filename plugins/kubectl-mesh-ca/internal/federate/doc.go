// Package federate makes clusters with different CAs trust each other, and ends that again. Every cluster keeps its CA, and no private key leaves the
// cluster that it is in: a key is read into memory to sign a cross certificate of another CA, and is written nowhere.
//
// recipe.go chooses what lasts with the owners of the leaf certificates, material.go says what each Secret must contain, decide.go decides what comes next
// from what was read, and run.go goes from phase to phase. No progress is stored: after a crash, the same command goes on. docs/mesh-ca.md explains the recipes.
package federate
