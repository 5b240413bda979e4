package origin

import "sync"

// found remembers what was found in the bodies and in the values of headers of earlier replies, because replies repeat.
type found struct {
	mu    sync.Mutex
	hits  map[string][]hit
	bytes int
}

// maxFound is how many bytes of texts are remembered. Beyond it, all are forgotten.
const maxFound = 4 << 20

// in returns what search finds in a text. The result must not be modified.
func (f *found) in(text []byte, search func([]byte) []hit) []hit {
	f.mu.Lock()
	hits, ok := f.hits[string(text)]
	f.mu.Unlock()
	if ok {
		return hits
	}
	hits = search(text)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.hits == nil || f.bytes > maxFound {
		f.hits, f.bytes = map[string][]hit{}, 0
	}
	f.hits[string(text)] = hits
	f.bytes += len(text) + 100
	return hits
}
