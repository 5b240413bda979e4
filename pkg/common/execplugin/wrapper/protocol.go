// Package wrapper is the hidden mode in which this program runs one exec credential plugin. See package execplugin, which starts it.
//
// It imports the standard library only: a process that is a wrapper ends before the packages of Kubernetes are initialized.
package wrapper

import "time"

// MarkerEnv tells a process that it is a wrapper, and how to reach its host. The plugin does not see it.
const MarkerEnv = "KUBECTL_MESH_EXEC_PLUGIN"

// Marker is the value of MarkerEnv.
type Marker struct {
	Socket string `json:"socket"`
	Token  string `json:"token"` // proves to the host that it started the wrapper
	Key    string `json:"key"`
}

// Hello is the first message of a wrapper.
type Hello struct {
	Token   string `json:"token"`
	Key     string `json:"key"`
	PID     int    `json:"pid"`
	Prompts bool   `json:"prompts"` // client-go gave the plugin the terminal
}

// Order is the host's answer: the plugin may run, or not at all. A second order ends the holding back of stderr.
type Order struct {
	Run        bool          `json:"run"`
	Timeout    time.Duration `json:"timeout"`
	HoldStderr bool          `json:"holdStderr,omitempty"` // nobody needs the credentials yet
}

// Report is the last message of a wrapper.
type Report struct {
	Exit     int    `json:"exit"`
	Signal   string `json:"signal,omitempty"`
	Error    string `json:"error,omitempty"` // the plugin could not be started
	TimedOut bool   `json:"timedOut,omitempty"`
	// Stopped: the plugin tried to use the terminal, which it did not have.
	Stopped bool   `json:"stopped,omitempty"`
	Stderr  string `json:"stderr,omitempty"` // what was held back until the end
}
