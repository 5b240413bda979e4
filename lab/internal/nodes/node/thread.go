package node

import "runtime"

// onThread runs f on an operating system thread of its own that dies with it, so that f may
// change the thread's namespaces. A process that f starts inherits them.
//
// Nothing that f starts may use Pdeathsig: it would fire when this thread ends.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		// Never unlocked: the runtime then ends the thread instead of using it again.
		runtime.LockOSThread()
		done <- f()
	}()
	return <-done
}
