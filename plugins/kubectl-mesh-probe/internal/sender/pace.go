package sender

import "time"

// batchTime is how long the requests of a batch should take, and for how long batches should be ordered ahead.
const batchTime = 500 * time.Millisecond

// packedTime is the same if the pod compresses what it sends: each batch then starts two processes more. If a process takes long to start, a
// batch takes packedStarts times as long, at most maxPackedTime.
const (
	packedTime    = time.Second
	packedStarts  = 20
	maxPackedTime = 4 * time.Second
)

// maxAhead is how many requests are ordered ahead if single requests are fast.
const maxAhead = 32

// pace decides how many requests the next batch has, and how many batches are ordered ahead.
//
// A batch takes the time to start a process plus the time of its requests. Only the second part limits the size: a slow pod needs larger
// batches, not smaller ones. Two batches of different sizes show how long each part takes.
type pace struct {
	size    int  // of the next batch
	most    int  // a larger batch is not tried
	limited bool // bodies are large: the pod limits the output, and each request has its own process
	packs   bool // the pod compresses the output of a batch
	whole   bool // the output of a batch was too large for the pod to keep
	bytes   int  // how much the tool prints for a request, roughly

	last    sample
	startup time.Duration // how long it takes to start a process, as measured
	singles int           // single requests since then. They cannot show whether it has changed.
	known   bool          // startup was measured, and not long ago
}

// growth is how much larger than the last one a batch may be. The time of a few requests is little beside that of the process, and therefore
// not exact.
const growth = 16

// least is how many requests a batch should have so that the start of its process is worth it.
func (p *pace) least() int {
	perRequest := max((p.last.took-p.startup)/time.Duration(max(1, p.last.requests)), time.Microsecond)
	return min(max(minPacked, int(2*p.startup/perRequest)), max(minPacked, p.size))
}

// maxSingles is after how many single requests the start of a process is measured again.
const maxSingles = 10

// sample is how long a batch took.
type sample struct {
	requests int // 0 before the first batch has ended
	took     time.Duration
}

func newPace(most int) pace { return pace{size: 1, most: most} }

// maxPrinted is how much a batch should print at most.
const maxPrinted = 1 << 20

// measureSize learns how much the tool prints.
func (p *pace) measureSize(printed, requests int) {
	p.bytes = max(printed/max(1, requests), p.bytes/2)
}

// batchTime is how long the requests of the next batch should take.
func (p *pace) batchTime() time.Duration {
	if p.packs && !p.whole {
		return min(max(packedTime, packedStarts*p.startup), maxPackedTime)
	}
	return batchTime
}

// single makes every following batch a single request.
func (p *pace) single() { p.most, p.size = 1, 1 }

// window is how many batches may be ordered before the first of them has ended.
func (p *pace) window() int {
	if p.last.requests == 0 {
		return 1 // the first reply shows what to expect
	}
	if p.packs && p.most > 1 && !p.limited {
		if p.size > 2*p.last.requests {
			return 1 // the next one is much larger, and the one after it perhaps again
		}
		return 2 // so that the next batch may be larger soon
	}
	ahead := int(batchTime/max(p.last.took, time.Millisecond)) + 1
	return max(2, min(ahead, maxAhead/max(1, p.size)))
}

// ended learns from a batch that has ended: how many requests were ordered, how many of them were sent, and how long it took. failed says
// that a request received no reply.
func (p *pace) ended(ordered, sent int, took time.Duration, failed bool) {
	now := sample{max(1, sent), took}
	if !failed {
		p.measure(now)
	}
	p.last, p.startup = now, min(p.startup, took)
	if p.singles++; now.requests > 1 {
		p.singles = 0
	}
	p.known = p.known && p.singles < maxSingles
	perRequest := (took - p.startup) / time.Duration(now.requests)
	target := max(1, min(p.most, int(p.batchTime()/max(perRequest, time.Microsecond))))
	switch {
	case failed:
		p.size = max(1, min(p.size/2, target))
	case !p.known:
		// The time may be that of the process. A larger batch shows it.
		p.size = min(p.most, max(2*now.requests, min(p.size*growth, target)))
	default:
		p.size = min(max(1, p.size*growth), target)
	}
	if sent < ordered {
		// The tool ends at the first error: do not order many more requests than it is likely to send.
		p.size = min(p.size, 2*max(1, sent))
	}
	p.size = max(1, min(p.size, maxPrinted/max(1, p.bytes)))
	if p.limited {
		p.size = 1
	}
}

// measure compares a batch with the one before. If one of them had at least twice as many requests, the difference in time is that of the
// additional requests, and the rest is the start of the process.
func (p *pace) measure(now sample) {
	small, large := p.last, now
	if small.requests > large.requests {
		small, large = large, small
	}
	if small.requests == 0 || large.requests < 2*small.requests {
		return
	}
	extra := large.took - small.took
	if extra < 0 && large == p.last {
		return // fewer requests took longer: the server or the pod has become slower meanwhile
	}
	perRequest := max(0, extra) / time.Duration(large.requests-small.requests)
	p.startup = max(0, now.took-perRequest*time.Duration(now.requests))
	p.known, p.singles = true, 0
}
